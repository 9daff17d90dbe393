"""The drawings: from the emoji sets where they are installed, else plain shapes drawn in code."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.colours import Pixels

HERE = Path(__file__).parent
DATA = HERE / "data"
SIDE = 96
# Neither set has a real gun (theirs squirts water) nor a single sword, so these four are our own.
OWN = {
    "gun-a": (
        '<path d="M8 34h96v22H66l-4 10H48l-8 34H14l10-44H8z" fill="#4a4f57"/>'
        '<path d="M8 34h96v8H8z" fill="#6c727c"/>'
        '<path d="M50 58h12l-3 10h-9z" fill="#26282c"/>'
        '<path d="M20 62h22l-8 36H16z" fill="#6b4226"/>'
    ),
    "gun-b": (
        '<path d="M6 40h104v14H70v8H52L42 104H16l12-48H6z" fill="#5c6068"/>'
        '<circle cx="60" cy="50" r="15" fill="#3c4047"/>'
        '<path d="M100 32h8v8h-8z" fill="#3c4047"/>'
        '<path d="M28 58h20L38 102H18z" fill="#7a4a2a"/>'
    ),
    "sword-a": (
        '<g transform="rotate(45 64 64)">'
        '<path d="M56 2h16v82H56z" fill="#b9c4cf"/>'
        '<path d="M64 2h8v82h-8z" fill="#95a2b0"/>'
        '<path d="M36 82h56v10H36z" fill="#d8a53a"/>'
        '<path d="M58 92h12v26H58z" fill="#6b4226"/>'
        "</g>"
    ),
    "sword-b": (
        '<path d="M64 0l9 14v68H55V14z" fill="#c8d2dc"/>'
        '<path d="M64 0l9 14v68h-9z" fill="#9aa7b5"/>'
        '<path d="M34 80h60v9H34z" fill="#c08a2a"/>'
        '<path d="M57 89h14v28H57z" fill="#4b3020"/>'
        '<circle cx="64" cy="120" r="7" fill="#c08a2a"/>'
    ),
}


def fetch() -> None:
    """Install the pinned npm packages into training/data. Needs npm and a registry."""
    DATA.mkdir(exist_ok=True)
    shutil.copy(HERE / "package.json", DATA / "package.json")
    subprocess.run(
        ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=DATA, check=True
    )


def icons(package: str) -> dict[str, object] | None:
    """A set as its package holds it. None where it is not installed."""
    for place in (DATA / "node_modules" / "@iconify-json" / package, DATA / f"iconify-json-{package}" / "package"):
        if (place / "icons.json").is_file():
            read: dict[str, object] = json.loads((place / "icons.json").read_text())
            return read
    return None


def render(body: str, side: int) -> Pixels:
    """Draw the body of an SVG whose view box has this side, SIDE x SIDE pixels, RGBA."""
    import resvg_py

    size = f'viewBox="0 0 {side} {side}" width="{SIDE}" height="{SIDE}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA").resize((SIDE, SIDE)))


def shape(word: str) -> Pixels:
    """Draw a plain shape for a word: always the same one, for machines without the emoji sets."""
    digest = hashlib.sha256(word.encode()).digest()
    image = Image.new("RGBA", (SIDE, SIDE))
    pen = ImageDraw.Draw(image)
    fill = (60 + digest[0] // 2, 60 + digest[1] // 2, 60 + digest[2] // 2, 255)
    box = (8 + digest[3] % 16, 8 + digest[4] % 16, SIDE - 8 - digest[5] % 16, SIDE - 8 - digest[6] % 16)
    match digest[7] % 3:
        case 0:
            pen.ellipse(box, fill)
        case 1:
            pen.rectangle(box, fill)
        case _:
            pen.regular_polygon((SIDE // 2, SIDE // 2, 40), 3 + digest[8] % 5, digest[9], fill)
    return np.asarray(image)


def crop(rgba: Pixels) -> Pixels:
    """Cut away the empty margin, keep it square: a drawing's size in the scene is then the size asked for."""
    rows, columns = np.where(rgba[..., 3] > 20)
    image = Image.fromarray(rgba).crop((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    side = max(image.size)
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX))
