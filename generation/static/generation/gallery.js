// Keys for the gallery: arrows move, Escape closes. Without this, links do the same.
(() => {
  const drawer = document.getElementById("drawer");
  const act = (key) => drawer.querySelector(`[data-key="${key}"]`);

  const close = () => {
    const open = drawer.querySelector("[data-medium]");
    if (!open) return;
    drawer.replaceChildren();
    history.replaceState(null, "", drawer.dataset.gallery);
    const from = document.getElementById(open.dataset.medium);
    for (const current of document.querySelectorAll("#rows [aria-current]")) current.removeAttribute("aria-current");
    from?.focus();
  };

  drawer.addEventListener("click", (event) => {
    if (!event.target.closest("#drawer-close")) return;
    event.preventDefault();
    close();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, summary")) return;
    if (event.key === "Escape") return close();
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    if (drawer.firstElementChild) {
      const link = act(event.key);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    // With the drawer closed the arrows walk the rows.
    const links = [...document.querySelectorAll("#rows a")];
    const at = links.indexOf(document.activeElement);
    const next = links[at + (event.key === "ArrowRight" ? 1 : -1)] || (at < 0 ? links[0] : null);
    if (next) { event.preventDefault(); next.focus(); }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== drawer) return;
    const open = drawer.querySelector("[data-medium]");
    for (const current of document.querySelectorAll("#rows [aria-current]")) current.removeAttribute("aria-current");
    const thumb = open && document.getElementById(open.dataset.medium);
    thumb?.setAttribute("aria-current", "true");
    thumb?.scrollIntoView({ block: "nearest" });
    if (!drawer.contains(document.activeElement)) open?.focus({ preventScroll: true });
  });
})();
