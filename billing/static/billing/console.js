// Plots that answer: the mark under the pointer, or the one that the arrow keys came to, says its day and its value.
// Without this the browser shows the same words as the titles of the marks.
(() => {
  for (const frame of document.querySelectorAll("[data-plot]")) {
    const svg = frame.querySelector("svg");
    const said = frame.querySelector("output");
    const marks = [...svg.querySelectorAll(".mark")];
    const dot = frame.appendChild(Object.assign(document.createElement("span"), { className: "plot-dot", hidden: true }));
    const words = marks.map((mark) => {
      const title = mark.querySelector("title");
      const text = title.textContent;
      title.remove();
      return text;
    });
    let here = -1;

    const show = (number) => {
      marks[here]?.classList.remove("is-here");
      here = number;
      const mark = marks[here];
      said.hidden = dot.hidden = !mark;
      if (!mark) return;
      mark.classList.add("is-here");
      said.textContent = words[here];
      const box = svg.getBoundingClientRect();
      const outer = frame.getBoundingClientRect();
      dot.style.left = `${box.left - outer.left + ((here + 0.5) / marks.length) * box.width}px`;
      dot.style.top = `${box.top - outer.top + (mark.dataset.y / svg.viewBox.baseVal.height) * box.height}px`;
    };
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      const part = (event.clientX - box.left) / box.width;
      show(Math.min(marks.length - 1, Math.max(0, Math.floor(part * marks.length))));
    };

    frame.addEventListener("pointermove", at);
    frame.addEventListener("pointerdown", at);
    frame.addEventListener("pointerleave", () => show(-1));
    frame.addEventListener("focus", () => { if (here < 0) show(marks.length - 1); });
    frame.addEventListener("blur", () => show(-1));
    frame.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: marks.length - 1 }[event.key];
      if (event.key === "Escape") show(-1);
      if (to === undefined) return;
      event.preventDefault();
      show(Math.min(marks.length - 1, Math.max(0, to)));
    });
  }
})();
