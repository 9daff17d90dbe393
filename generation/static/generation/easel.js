// Draw what goes in beside the words: a sketch, a painted map, or what of a picture is to change. What is drawn is put
// into the file field of its place, so the form is the same as without this.
(() => {
  const SIDE = 512;

  class Easel {
    constructor(place) {
      this.place = place;
      this.kind = place.dataset.easel;
      this.file = place.querySelector("input[type=file]");
      this.board = place.querySelector("canvas");
      this.ink = this.board.getContext("2d", { willReadFrequently: true });
      this.done = [];
      this.rubs = false;
      this.base = null;
      place.querySelector(".easel").hidden = false;
      this.board.addEventListener("pointerdown", (event) => this.begin(event));
      this.board.addEventListener("pointermove", (event) => this.move(event));
      for (const end of ["pointerup", "pointercancel"]) this.board.addEventListener(end, () => this.end());
      place.addEventListener("click", (event) => this.tool(event.target.closest("[data-tool]")?.dataset.tool));
      place.addEventListener("keydown", (event) => {
        if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.tool("undo");
      });
      this.clear();
      if (this.kind === "mask") this.watchPicture();
    }

    // The picture under a mask: chosen already, or brought just now.
    watchPicture() {
      const other = document.querySelector('[data-name="picture"]');
      const shown = other?.querySelector("img[data-base]");
      if (shown) {
        const take = () => this.setBase(shown);
        shown.complete ? take() : shown.addEventListener("load", take, { once: true });
      }
      other?.querySelector("input[type=file]")?.addEventListener("change", async (event) => {
        const file = event.target.files[0];
        if (file) this.setBase(await createImageBitmap(file).catch(() => null));
      });
    }

    setBase(picture) {
      const width = picture ? picture.naturalWidth || picture.width : SIDE;
      const height = picture ? picture.naturalHeight || picture.height : SIDE;
      const share = Math.min(1, 1024 / Math.max(width, height));
      this.board.width = Math.max(1, Math.round(width * share));
      this.board.height = Math.max(1, Math.round(height * share));
      this.base = picture;
      this.room = 0;
      this.done = [];
      this.clear();
    }

    get width() {
      const wanted = Number(this.place.querySelector('[data-tool="width"]').value);
      return (wanted * this.board.width) / SIDE;
    }

    get colour() {
      if (this.kind === "map") return this.place.querySelector(".easel-palette input:checked").value;
      return this.kind === "mask" ? "rgb(255 255 255)" : "rgb(0 0 0)";
    }

    // The ground: white paper, the first colour of a palette, or nothing over the picture.
    clear() {
      const { ink, board } = this;
      ink.globalCompositeOperation = "source-over";
      ink.clearRect(0, 0, board.width, board.height);
      if (this.kind === "mask") {
        this.paintBase();
      } else {
        ink.fillStyle = this.kind === "map" ? this.place.querySelector(".easel-palette input").value : "rgb(255 255 255)";
        ink.fillRect(0, 0, board.width, board.height);
      }
      this.drawn = false;
      this.put(null);
    }

    // A mask lies in a layer of its own; the board shows it over the picture.
    paintBase() {
      const { board } = this;
      this.layer ||= document.createElement("canvas");
      [this.layer.width, this.layer.height] = [board.width, board.height];
      this.over = this.layer.getContext("2d", { willReadFrequently: true });
      this.show();
    }

    inner() {
      const share = 1 - 2 * (this.room || 0);
      const { width, height } = this.board;
      return [(width * (1 - share)) / 2, (height * (1 - share)) / 2, width * share, height * share];
    }

    show() {
      const { ink, board } = this;
      ink.clearRect(0, 0, board.width, board.height);
      if (this.base) ink.drawImage(this.base, ...this.inner());
      ink.globalAlpha = 0.62;
      ink.drawImage(this.layer, 0, 0);
      ink.globalAlpha = 1;
    }

    begin(event) {
      if (event.button) return;
      event.preventDefault();
      this.board.focus({ preventScroll: true });
      this.board.setPointerCapture(event.pointerId);
      this.keep();
      this.at = this.spot(event);
      this.stroke(this.at);
    }

    move(event) {
      if (this.at) this.stroke(this.spot(event));
    }

    end() {
      if (!this.at) return;
      this.at = null;
      this.drawn = true;
      this.publish();
    }

    spot(event) {
      const box = this.board.getBoundingClientRect();
      return {
        x: ((event.clientX - box.left) / box.width) * this.board.width,
        y: ((event.clientY - box.top) / box.height) * this.board.height,
      };
    }

    stroke(to) {
      const ink = this.over || this.ink;
      const rubs = this.rubs && this.kind !== "map";
      ink.globalCompositeOperation = rubs && this.over ? "destination-out" : "source-over";
      ink.strokeStyle = rubs && !this.over ? "rgb(255 255 255)" : this.colour;
      ink.lineWidth = this.width;
      ink.lineCap = ink.lineJoin = "round";
      ink.beginPath();
      ink.moveTo(this.at.x, this.at.y);
      ink.lineTo(to.x + 0.01, to.y);
      ink.stroke();
      this.at = to;
      if (this.over) this.show();
    }

    keep() {
      const ink = this.over || this.ink;
      this.done.push(ink.getImageData(0, 0, this.board.width, this.board.height));
      if (this.done.length > 20) this.done.shift();
    }

    tool(name) {
      const ink = this.over || this.ink;
      if (name === "undo" && this.done.length) {
        ink.putImageData(this.done.pop(), 0, 0);
        if (this.over) this.show();
        this.publish();
      } else if (name === "clear") {
        this.keep();
        this.clear();
      } else if (name === "rub") {
        this.rubs = !this.rubs;
        this.place.querySelector('[data-tool="rub"]').setAttribute("aria-pressed", String(this.rubs));
      } else if (name === "fill") {
        this.keep();
        ink.globalCompositeOperation = "source-over";
        ink.fillStyle = this.colour;
        ink.fillRect(0, 0, this.board.width, this.board.height);
        this.publish();
      } else if (name === "room" && this.base) {
        // The picture steps back, and what is around it is to be drawn: twice as wide at the most.
        this.room = this.room ? 0 : 0.2;
        this.over.clearRect(0, 0, this.board.width, this.board.height);
        if (this.room) {
          this.over.fillStyle = this.colour;
          this.over.fillRect(0, 0, this.board.width, this.board.height);
          const [x, y, width, height] = this.inner();
          this.over.clearRect(x + 2, y + 2, width - 4, height - 4);
        }
        this.show();
        this.publish();
        this.publishPicture();
      }
    }

    publish() {
      if (!this.over) return this.board.toBlob((blob) => this.put(blob));
      // Black and white, at the picture's own shape.
      const made = document.createElement("canvas");
      [made.width, made.height] = [this.board.width, this.board.height];
      const ink = made.getContext("2d");
      ink.fillRect(0, 0, made.width, made.height);
      ink.drawImage(this.layer, 0, 0);
      made.toBlob((blob) => this.put(blob));
    }

    // With room around it, the picture itself is another one.
    publishPicture() {
      const file = document.querySelector('[data-name="picture"] input[type=file]');
      const made = document.createElement("canvas");
      [made.width, made.height] = [this.board.width, this.board.height];
      const ink = made.getContext("2d");
      // Its edges run out into the room, so that what is drawn there goes on from them.
      ink.filter = "blur(24px)";
      ink.drawImage(this.base, 0, 0, made.width, made.height);
      ink.filter = "none";
      ink.drawImage(this.base, ...this.inner());
      made.toBlob((blob) => fill(file, blob, "picture.png"));
    }

    put(blob) {
      fill(this.file, blob, `${this.kind}.png`);
      this.place.toggleAttribute("data-drawn", Boolean(blob));
    }
  }

  function fill(field, blob, name) {
    if (!field) return;
    const files = new DataTransfer();
    if (blob) files.items.add(new File([blob], name, { type: "image/png" }));
    field.files = files.files;
  }

  // A picture that was brought is shown where it was chosen.
  const preview = async (field) => {
    const place = field.closest("[data-easel]");
    const picture = field.files[0] && (await createImageBitmap(field.files[0]).catch(() => null));
    place.querySelector(".preview")?.remove();
    if (!picture) return;
    const shown = document.createElement("canvas");
    const share = Math.min(1, 480 / Math.max(picture.width, picture.height));
    [shown.width, shown.height] = [picture.width * share, picture.height * share];
    shown.className = "preview";
    shown.getContext("2d").drawImage(picture, 0, 0, shown.width, shown.height);
    place.querySelector(".bring").before(shown);
    place.querySelector(".chosen")?.remove();
  };

  const start = (root) => {
    for (const place of root.querySelectorAll("[data-easel]")) {
      if (place.dataset.ready) continue;
      place.dataset.ready = "yes";
      if (place.querySelector(".easel")) new Easel(place);
      const field = place.querySelector("input[type=file]");
      field.addEventListener("change", () => {
        if (!place.querySelector(".easel")) return preview(field);
        // What was brought in place of a drawing is used as it is.
        place.removeAttribute("data-drawn");
      });
    }
  };
  start(document);
  document.addEventListener("htmx:load", (event) => start(event.target));

  // Films play while they are pointed at, or have the keyboard.
  const film = (event) => event.target.closest?.("a")?.querySelector("video[data-plays]");
  for (const begins of ["mouseover", "focusin"]) document.addEventListener(begins, (event) => film(event)?.play().catch(() => {}));
  for (const ends of ["mouseout", "focusout"]) document.addEventListener(ends, (event) => film(event)?.pause());
})();
