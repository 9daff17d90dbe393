"""The heads over the house CLIP: `python -m training.heads [--write]`, after the CLIP was exported.

`photographic`: photograph or drawing. `synthetic`: drawn by hand, or painted by a model (the house painter, or its
autoencoder alone). Both are logistic regressions over the CLIP's embedding; what is printed was never learnt from:
photographs each left out in turn, a style of drawing (OpenMoji) and an autoencoder that the head never saw.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from moderation.classifiers.clip import Clip, weights_version
from moderation.policy import PolicySet
from training.calibrate import POLICIES, WEIGHTS, for_the_painter, painted_pictures, some
from training.colours import Pixels
from training.weights_folder import write_sums
from training.world import sprites
from training.world.scenes import World

FOLDER = WEIGHTS / "house-clip"
# Photographs that packages carry: scikit-learn's, matplotlib's, scikit-image's. All but two are in colour.
FROM_SKIMAGE = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "brick.png",
    "grass.png", "gravel.png", "moon.png", "hubble_deep_field.jpg", "coins.png",
)  # fmt: skip
CROPS = 60
# Of the harmless kind at most so much lies over the threshold that is proposed.
MOST_FALSE = 0.02


def photographs() -> dict[str, Image.Image]:
    """By name. Raises ImportError where the packages are missing."""
    import matplotlib
    import skimage
    from sklearn.datasets import load_sample_image

    found = {name: Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")}
    data = Path(skimage.__file__).parent / "data"
    files = [Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"]
    files += [data / name for name in FROM_SKIMAGE]
    return found | {path.name: Image.open(path).convert("RGB") for path in files}


def crops(picture: Image.Image, number: int, rng: np.random.Generator) -> list[Image.Image]:
    """Parts of a picture, from a quarter of its shorter side to all of it."""
    found = []
    for _ in range(number):
        side = int(min(picture.size) * rng.uniform(0.25, 1.0))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        found.append(picture.crop((left, top, left + side, top + side)))
    return found


def as_files_come(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Resized and saved as people save: alike for both kinds, or the head would learn how they were saved."""
    side = int(rng.integers(72, 320))
    picture = picture.convert("RGB").resize((side, side), Image.Resampling(int(rng.choice([1, 2, 3]))))
    if rng.random() < 0.7:
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=int(rng.integers(50, 96)))
        picture = Image.open(data).convert("RGB")
    return picture


def drawn(world: World, number: int, rng: np.random.Generator, *, side: int = 64) -> list[Pixels]:
    scenes = some(world, number, learnt=None, seed=int(rng.integers(1 << 30)))
    return [world.draw(one, rng, side=side).picture for one in scenes]


def through(vae: Any, pictures: Sequence[Pixels]) -> list[Pixels]:
    """What an autoencoder makes of pictures."""
    made: list[Pixels] = []
    with torch.inference_mode():
        for at in range(0, len(pictures), 32):
            batch = torch.from_numpy(np.stack(pictures[at : at + 32])).permute(0, 3, 1, 2).float() / 127.5 - 1
            back = vae.decode(vae.encode(batch).latent_dist.mode()).sample
            made += list(((back.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).round().byte().numpy())
    return made


def reader() -> Callable[[Sequence[Pixels | Image.Image], np.random.Generator], NDArray[np.float32]]:
    """Pictures as files come, through the gate's own CLIP: its embeddings, of length 1."""
    eyes = Clip(FOLDER, PolicySet.load(POLICIES))
    eyes.load()

    def read(pictures: Sequence[Pixels | Image.Image], rng: np.random.Generator) -> NDArray[np.float32]:
        files = [as_files_come(one if isinstance(one, Image.Image) else Image.fromarray(one), rng) for one in pictures]
        rows = []
        with torch.inference_mode():
            for at in range(0, len(files), 64):
                batch = torch.stack([eyes._transform(one) for one in files[at : at + 64]])
                rows.append(eyes._model.encode_image(batch, normalize=True).float().numpy())
        return np.concatenate(rows)

    return read


def fitted(yes: NDArray[np.float32], no: NDArray[np.float32]) -> Any:
    from sklearn.linear_model import LogisticRegression

    rows, labels = np.concatenate([yes, no]), np.r_[np.ones(len(yes)), np.zeros(len(no))]
    return LogisticRegression(C=30.0, class_weight="balanced", max_iter=3000).fit(rows, labels)


def told(name: str, line: Any, yes: NDArray[np.float32], no: NDArray[np.float32], least: float) -> None:
    """Print how well a line tells two kinds apart, and what of each lies over a threshold."""
    from sklearn.metrics import roc_auc_score

    scores = [line.predict_proba(each)[:, 1] for each in (yes, no)]
    area = roc_auc_score(np.r_[np.ones(len(yes)), np.zeros(len(no))], np.concatenate(scores))
    over = [(each >= least).mean() for each in scores]
    print(f"| {name} | {len(yes)}/{len(no)} | {area:.3f} | {over[0]:.1%} | {over[1]:.1%} |", flush=True)


def threshold(line: Any, no: NDArray[np.float32]) -> float:
    return float(np.quantile(line.predict_proba(no)[:, 1], 1 - MOST_FALSE))


def photographic(read: Any, world: World, painted: Sequence[Pixels], rng: np.random.Generator) -> Any:
    """Photograph or drawing; printed for photographs that were each left out."""
    shown = {name: read(crops(picture, CROPS, rng), rng) for name, picture in photographs().items()}
    no = read([*drawn(world, 900, rng, side=128), *painted], rng)
    other = read([*drawn(world, 300, rng, side=128), *painted[:100]], rng)
    scored = []
    for name in shown:
        line = fitted(np.concatenate([rows for key, rows in shown.items() if key != name]), no)
        scored.append((name, line.predict_proba(shown[name])[:, 1]))
    from sklearn.metrics import roc_auc_score

    line = fitted(np.concatenate(list(shown.values())), no)
    false = line.predict_proba(other)[:, 1]
    every = np.concatenate([scores for _, scores in scored])
    area = roc_auc_score(np.r_[np.ones(len(every)), np.zeros(len(false))], np.r_[every, false])
    least = threshold(line, other)
    print(f"photographic: AUC {area:.3f}, {len(every)} crops of {len(shown)} photographs, each left out in turn; "
          f"over {least:.2f} are {(every >= least).mean():.1%} of them and {MOST_FALSE:.0%} of drawings")  # fmt: skip
    for name, scores in scored:
        print(f"  {name:24} {(scores >= least).mean():6.1%} of its {len(scores)} crops", flush=True)
    return line


def synthetic(read: Any, world: World, painted: Sequence[Pixels], rng: np.random.Generator, state: Path) -> Any:
    """Painted or drawn; printed for what was held out."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(WEIGHTS / "house-painter" / "vae", local_files_only=True)
    half = len(painted) // 2
    yes = [*painted[:half], *through(vae, drawn(world, 600, rng))]
    line = fitted(read(yes, rng), read(drawn(world, 1200, rng), rng))
    fresh = read(drawn(world, 400, rng), rng)
    least = threshold(line, fresh)
    print(f"\nsynthetic, threshold {least:.2f}\n")
    print("| told apart | n | AUC | painted, over | drawn, over |\n|---|---|---|---|---|")
    told("other pictures of the painter", line, read(painted[half:], rng), fresh, least)
    told("other scenes through its autoencoder", line, read(through(vae, drawn(world, 300, rng)), rng), fresh, least)
    unseen = World(sprites.load(sprites.UNSEEN))
    scenes = drawn(unseen, 300, rng)
    told("OpenMoji, through its autoencoder", line, read(through(vae, scenes), rng), read(scenes, rng), least)
    if (state / "autoencoder.pt").is_file():
        from training.models import autoencoder

        other = autoencoder.load(state)
        told("another autoencoder", line, read(through(other, drawn(world, 300, rng)), rng), fresh, least)
        made = read(through(other, scenes), rng)
        told("OpenMoji, through another autoencoder", line, made, read(scenes, rng), least)
    return line


def write(name: str, line: Any) -> None:
    """Keep a line as a head beside the CLIP."""
    (FOLDER / "heads").mkdir(exist_ok=True)
    tensors = {
        "weight": torch.tensor(line.coef_, dtype=torch.float32),
        "bias": torch.tensor(line.intercept_, dtype=torch.float32),
    }
    path = FOLDER / "heads" / f"{name}.safetensors"
    save_file(tensors, path, metadata={"clip": weights_version(FOLDER), "embedding": "unit"})
    path.chmod(0o644)
    write_sums(FOLDER)


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.heads", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the heads beside the CLIP")
    parser.add_argument("--state", type=Path, default=Path(__file__).parent / "state")
    asked = parser.parse_args()
    rng, world = np.random.default_rng(7), World(sprites.load())
    painted = painted_pictures(for_the_painter(world, 400, seed=5), seed=50)
    read = reader()
    for name, line in (
        ("photographic", photographic(read, world, painted, rng)),
        ("synthetic", synthetic(read, world, painted, rng, asked.state)),
    ):
        if asked.write:
            write(name, line)


if __name__ == "__main__":
    main()
