"""What the parts of the house painter beside its U-Net learn from: films, sketches, maps, windows; and who judges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_house_models import told
from tests.test_world import pairs, world  # noqa: F401
from training.models import clip, painter
from training.models.judge import Found, holds
from training.models.words import tokenizer
from training.world.captions import MOVING, caption, request
from training.world.films import FRAMES, film
from training.world.scenes import RELATIONS, Item, Scene, World
from training.world.shown import COLOURS, PALETTE, map_of, sketch_of, window_of
from training.world.things import KINDS

torch.set_num_threads(1)
SIDE = 96
ROOT = Path(__file__).resolve().parents[1]


def middles(frames: np.ndarray) -> np.ndarray:
    """frames x (right, down, share): where what is not ground is, and how much of the picture it takes."""
    ground = frames[:, :1, :1].astype(int)
    seen = np.abs(frames.astype(int) - ground).max(-1) > 24
    return np.array([(*np.argwhere(one)[:, ::-1].mean(0) / one.shape[0], one.mean()) for one in seen])


@pytest.mark.parametrize("motion", MOVING)
def test_a_film_moves_as_it_is_told(world: World, motion: str) -> None:  # noqa: F811
    rng = np.random.default_rng(1)
    for word in ("balloon", "key", "apple", "house"):
        scene = Scene(Item(word, world.colours[word][0]), "purple")
        made = film(world, scene, motion, rng, side=SIDE)
        assert made.frames.shape == (FRAMES, SIDE, SIDE, 3)
        right, down, share = middles(made.frames).T
        match motion:
            case "left":
                assert right[0] - right[-1] > 0.2
            case "right":
                assert right[-1] - right[0] > 0.2
            case "up":
                assert down[0] - down[-1] > 0.2
            case "down":
                assert down[-1] - down[0] > 0.2
            case "bounce":
                assert np.sign(np.diff(down))[np.diff(down) != 0].std() > 0.5
                assert np.ptp(down) > 0.1
                assert np.ptp(right) < 0.05
            case "grow":
                assert share[-1] > 2 * share[0]
            case "shrink":
                assert share[0] > 2 * share[-1]
            case "turn":
                assert share.std() < 0.2 * share.mean()
                assert np.abs(np.diff(made.frames.astype(int), axis=0)).max((1, 2, 3)).min() > 24


def test_whoever_moves_with_another_moves_with_it(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(2)
    for scene in pairs(world, "riding", 5):
        right = middles(film(world, scene, "right", rng, side=SIDE).frames)[:, 0]
        assert (np.diff(right) > 0).mean() > 0.8


def test_no_motion_that_was_never_learnt_is_drawn(world: World) -> None:  # noqa: F811
    scene = Scene(Item("apple", world.colours["apple"][0]), "purple")
    with pytest.raises(ValueError, match="'sideways' is no motion; known are left"):
        film(world, scene, "sideways", np.random.default_rng(3), side=SIDE)


def test_words_of_moving_are_known_and_stand_where_people_put_them(world: World) -> None:  # noqa: F811
    read, rng = tokenizer(), np.random.default_rng(4)
    scene = Scene(Item("apple", "red"), "blue")
    assert request(scene, "left") == "a red apple moving left on blue"
    for motion in MOVING:
        for _ in range(20):
            text = caption(world.sample(rng), rng, motion=motion).text
            assert "<unk>" not in told(read, text), text
            assert any(phrase in text for phrase in MOVING[motion]), text


def test_a_sketch_is_white_lines_on_black_about_where_things_are(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(5)
    for _ in range(40):
        drawn = world.draw(world.sample(rng), rng, side=SIDE)
        sketch = sketch_of(drawn, rng)
        assert set(np.unique(sketch)) <= {0, 255}
        assert 0.003 < (sketch > 0).mean() < 0.5
        things = np.any(drawn.masks, axis=0)
        near = np.array([np.roll(things, (down, right), (0, 1)) for down in (-6, 0, 6) for right in (-6, 0, 6)]).any(0)
        assert (sketch[..., 0] > 0)[near].sum() > 0.95 * (sketch[..., 0] > 0).sum()


def test_a_map_says_which_kind_is_where(world: World) -> None:  # noqa: F811
    assert len({tuple(colour) for colour in PALETTE}) == len(COLOURS) == len(KINDS) + 1
    rng = np.random.default_rng(6)
    same = []
    for _ in range(40):
        drawn = world.draw(world.sample(rng), rng, side=SIDE)
        painted = map_of(drawn, rng)
        assert set(np.unique(painted)) <= set(np.unique(drawn.kinds))
        same.append((painted == drawn.kinds).mean())
    assert np.mean(same) > 0.9


def test_a_window_leaves_some_and_takes_some(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(7)
    shares = [window_of(world.draw(world.sample(rng), rng, side=SIDE), rng).mean() for _ in range(80)]
    assert 0.01 < min(shares) < 0.1
    assert 0.6 < max(shares) < 0.95


def test_who_judges_sees_the_relations_of_drawings_and_not_those_that_are_not_there(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(8)
    right: dict[str, list[bool]] = {relation: [] for relation in RELATIONS}
    turned: list[bool] = []
    for relation in RELATIONS:
        for scene in pairs(world, relation, 40):
            drawn = world.draw(scene, rng, side=SIDE)
            assert scene.second
            names = (scene.first.word, scene.second.word)
            one, two = (
                Found(name, float(mask.mean()), mask, "") for name, mask in zip(names, drawn.masks, strict=True)
            )
            right[relation].append(holds(relation, one, two))
            if relation != "holding":
                turned.append(holds(relation, two, one))
    assert {relation: np.mean(found) > 0.9 for relation, found in right.items()} == dict.fromkeys(RELATIONS, True)
    assert np.mean(turned) < 0.05


ALIKE = """
import torch
from training.feeding import feed

def make(step, rng):
    return {"step": step, "lot": rng.random(3)}

alone = feed(make, name=9, start=5, end=12, processes=0)
among = feed(make, name=9, start=5, end=12, processes=2)
both = list(zip(alone, among, strict=True))
assert [one["step"] for one, _ in both] == list(range(5, 12))
assert all(torch.equal(one["lot"], other["lot"]) for one, other in both)
"""


def test_batches_made_by_workers_are_those_of_one_process() -> None:
    """In a process of its own, as training is: what is forked beside the threads of other libraries may hang."""
    done = subprocess.run([sys.executable, "-c", ALIKE], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_painter_keeps_its_words_when_the_clip_goes_on_learning(tmp_path: Path) -> None:
    run = clip.resumed(tmp_path)
    run.save()
    before = painter.frozen_words(tmp_path).state_dict()
    with torch.no_grad():
        for value in run.mean.values():
            value.add_(1)
    run.save()
    after = painter.frozen_words(tmp_path).state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
