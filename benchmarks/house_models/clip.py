"""What the house CLIP tells apart: drawings in held-out colours, a set of emoji that it never saw, what is painted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.house_models.asking import WEIGHTS, held_out
from benchmarks.house_models.bench import SIDE, Bench
from training.colours import Pixels
from training.shares import share
from training.world import sprites
from training.world.captions import article, request
from training.world.scenes import Item, Scene, World


class Eyes:
    """The shipped CLIP, through open_clip, as the gate loads it."""

    def __init__(self) -> None:
        import open_clip

        place = f"local-dir:{WEIGHTS / 'house-clip'}"
        self.model, _, self.transform = open_clip.create_model_and_transforms(place)
        self.tokens = open_clip.get_tokenizer(place)
        self.model.eval()

    @torch.no_grad()
    def pictures(self, pictures: list[Pixels]) -> torch.Tensor:
        shown = [self.transform(Image.fromarray(one)) for one in pictures]
        parts = [torch.stack(shown[at : at + 64]) for at in range(0, len(shown), 64)]
        return torch.cat([self.model.encode_image(part, normalize=True) for part in parts])

    @torch.no_grad()
    def texts(self, texts: list[str]) -> torch.Tensor:
        found: torch.Tensor = self.model.encode_text(self.tokens(texts), normalize=True)
        return found


def ranks(marks: torch.Tensor, true: torch.Tensor) -> Any:
    """At which place the true one of each row stands, the first being 0."""
    own = marks.gather(1, true[:, None])
    return (marks > own).sum(1).numpy()


def retrieval(eyes: Eyes, pictures: list[Pixels], words: list[str], names: list[str]) -> str:
    """Of pictures the words, and of words the pictures: first, and among the first five."""
    seen, read = eyes.pictures(pictures), eyes.texts([article(name) for name in names])
    true = torch.tensor([names.index(word) for word in words])
    to_words = ranks(seen @ read.T, true)
    marks = (read @ seen.T)[true]
    same = torch.tensor([[one == other for other in words] for one in words])
    best = marks.masked_fill(~same, -2).max(1).values
    to_pictures = ((marks > best[:, None]) & ~same).sum(1).numpy()
    of = len(words)
    return (
        f"picture to word {share(int((to_words < 1).sum()), of)}, in five {share(int((to_words < 5).sum()), of)}; "
        f"word to picture {share(int((to_pictures < 1).sum()), of)}, in five {share(int((to_pictures < 5).sum()), of)}"
    )


def clip(bench: Bench) -> None:
    """Retrieval among all names, and whether captions are told from their foils."""
    eyes, rng = Eyes(), np.random.default_rng(9)
    names = bench.world.words
    scenes = held_out(bench.world, "single", 500)
    drawn = [bench.world.draw(scene, rng, side=SIDE).picture for scene in scenes]
    print(f"held-out colours, {len(names)} names: {retrieval(eyes, drawn, [one.first.word for one in scenes], names)}")
    unseen = World(sprites.load(sprites.UNSEEN))
    shown = [Scene(Item(word, unseen.natural[word][0]), "white") for word in unseen.words]
    shown = [one if one.first.colour != "white" else Scene(one.first, "blue") for one in shown]
    pictures = [unseen.draw(scene, rng, side=SIDE).picture for scene in shown]
    told = retrieval(eyes, pictures, [one.first.word for one in shown], names)
    print(f"OpenMoji, never seen, {len(names)} names: {told}")
    print(f"by chance: {100 / len(names):.1f} %, in five {500 / len(names):.1f} %")
    asked = scenes[:100]
    painted = [made[0] for made in bench.painter.ask("text_to_image", [request(one) for one in asked], seed=1)]
    print(f"painted as asked: {retrieval(eyes, painted, [one.first.word for one in asked], names)}")
    pairs = held_out(bench.world, "pair", 300)
    pictures = [bench.world.draw(scene, rng, side=SIDE).picture for scene in pairs]
    seen = eyes.pictures(pictures)
    turned = [Scene(one.second, one.background, relation=one.relation, second=one.first) for one in pairs if one.second]
    right = (seen * eyes.texts([request(one) for one in pairs])).sum(1)
    wrong = (seen * eyes.texts([request(one) for one in turned])).sum(1)
    print(f"who is where, told from the other way round: {share(int((right > wrong).sum()), len(pairs))}, chance 50 %")
