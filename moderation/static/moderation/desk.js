// Keys for the review desk. Everything they do can be clicked too.
(() => {
  const typing = (element) => element.matches("input:not([type=checkbox]), textarea, select");
  const focus = { p: "#id_policy_code", e: "#id_reason" };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target)) return;
    const place = focus[event.key] && document.querySelector(focus[event.key]);
    const act = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!place && !act) return;
    event.preventDefault();
    (place || act)[place ? "focus" : "click"]();
  });

  for (const button of document.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
  }

  // A case that was acted upon dims at once, so that nobody presses twice.
  for (const form of document.querySelectorAll(".case form[method=post]")) {
    form.addEventListener("submit", () => document.querySelector(".case").classList.add("leaving"));
  }
  // The page may come back from the browser's memory, by the back key.
  addEventListener("pageshow", () => document.querySelector(".case")?.classList.remove("leaving"));
})();
