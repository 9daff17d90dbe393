// The composer: a key to draw with, and the empty page's greeting steps aside. Both can be missed.
(() => {
  const form = document.getElementById("composer");
  if (!form) return;
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
      event.preventDefault();
      form.requestSubmit(document.getElementById("draw"));
    }
  });
  // "/" goes to the words from anywhere.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input:not([type=radio]), textarea, select")) return;
    event.preventDefault();
    document.getElementById("prompt").focus();
  });
})();
