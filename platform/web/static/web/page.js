// What every page does beyond links and forms. All of it can be missed.
(() => {
  const root = document.documentElement;

  // Theme: light, dark, or as the device says.
  const themes = document.querySelectorAll("[data-theme-choice]");
  const show = () => {
    const now = root.dataset.theme || "device";
    for (const button of themes) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === now));
  };
  for (const button of themes) {
    button.addEventListener("click", () => {
      const choice = button.dataset.themeChoice;
      if (choice === "device") delete root.dataset.theme;
      else root.dataset.theme = choice;
      try {
        if (choice === "device") localStorage.removeItem("theme");
        else localStorage.setItem("theme", choice);
      } catch { /* storage is off: it lasts as long as the page */ }
      show();
    });
  }
  show();
  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;

  // The account menu closes like a menu.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  // Offline, or the server does not answer: say so once, and take it back when it is over.
  const note = document.getElementById("offline");
  const lost = (is) => { if (note) note.hidden = !is; };
  addEventListener("offline", () => lost(true));
  addEventListener("online", () => lost(false));
  lost(!navigator.onLine);
  document.addEventListener("htmx:sendError", () => lost(true));
  document.addEventListener("htmx:afterOnLoad", () => lost(false));

  // An answer that names its own place is shown there, whatever its status: 402 and 503 have something to say.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Retarget")) event.detail.shouldSwap = true;
  });

  // Copy what was shown once.
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.value || source.textContent);
        button.textContent = "Copied";
      } catch { source.focus(); source.select?.(); }
    });
  }
})();
