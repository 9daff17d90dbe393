"""Which two things words are of, how they stand to each other, and that nothing of either is lost on the way."""

import numpy as np
import pytest

from generation.engine.in_motion import motion_of
from generation.engine.two_things import Box, Layer, Pair, Picture, cut_out, laid_together, layout, pair_of, seat_of
from training.world.captions import MOVING

SIDE = 64
BLUE, RED, YELLOW = (0.1, 0.2, 0.9), (0.9, 0.1, 0.1), (0.95, 0.9, 0.1)

SAID = {
    "riding": ("a person riding a horse", "a cat rides a dog", "a horse ridden by a person", "an owl sitting on a cow",
               "a king on the back of an elephant"),
    "holding": ("a bear holding a star", "a man carrying two books", "a flag held by a robot",
                "a rose in the hand of a woman"),
    "above": ("a star above a house", "a bird flying over a tree", "a house below a star", "a cat beneath a lamp"),
    "on": ("a frog on a box", "a cat standing on a drum", "a cup on top of a book", "a box under a frog",
           "a box with a frog on it"),
    "left of": ("a cup left of a pot", "a cup to the left of a pot", "a pot to the right of a cup",
                "a cat next to a dog", "a cat and a dog", "a cup beside two pots"),
}  # fmt: skip


@pytest.mark.parametrize(("relation", "prompt"), [(name, prompt) for name, said in SAID.items() for prompt in said])
@pytest.mark.parametrize("ground", ["", " on blue", ", yellow background", " in front of a dark green wall"])
def test_words_are_of_two_things(relation: str, prompt: str, ground: str) -> None:
    found = pair_of(prompt + ground)
    assert found is not None
    assert found.relation == relation
    assert found.first.endswith(ground)
    assert found.second.endswith(ground)
    assert pair_of(found.first) is None
    assert pair_of(found.second) is None


@pytest.mark.parametrize(
    ("prompt", "first", "second"),
    [
        ("a red cat riding a grey horse on white", "a red cat on white", "a grey horse on white"),
        ("a grey horse ridden by a red cat", "a red cat", "a grey horse"),
        ("a box under a frog", "a frog", "a box"),
        ("a box with a green frog on it on red", "a green frog on red", "a box on red"),
        ("A Pot To The Right Of A Cup.", "A Cup", "A Pot"),
        ("purple background with a cat above a dog", "a cat, purple background", "a dog, purple background"),
        ("a picture of  a cat\nand a dog", "a picture of a cat", "a dog"),
        # The relation said first counts; what follows is the second thing's.
        ("a cat next to a dog on a box", "a cat", "a dog on a box"),
        ("a man with a hat riding a horse", "a man with a hat", "a horse"),
        ("a clock with a lamp above it", "a lamp", "a clock"),
        ("a dog on the left of a cat", "a dog", "a cat"),
        ("a person holding blue scissors on red", "a person on red", "blue scissors on red"),
        # The ground and what follows a pause are of both.
        ("a cat above a dog on blue, flat style", "a cat on blue, flat style", "a dog on blue, flat style"),
        ("a cat and a dog, yellow background,", "a cat, yellow background", "a dog, yellow background"),
        ("a cat on a blue background and a dog!", "a cat on a blue background", "a dog on a blue background"),
        ("on a blue background, a cat and a dog", "a cat, blue background", "a dog, blue background"),
    ],
)
def test_each_thing_keeps_its_words(prompt: str, first: str, second: str) -> None:
    found = pair_of(prompt)
    assert found is not None
    assert (found.first, found.second) == (first, second)


@pytest.mark.parametrize(
    "prompt",
    ["", " ", "a red apple on blue", "three green frogs on a white background", "a house on the left", "riding",
     "a person riding", "above a house", "black and white", "salt and pepper", "a cup on", "a handle", "un gatto",
     "a man with red hair", "an overcoat", "a pond", "on on on", "a cake, red background", "on blue",
     "a bird in front of a wall", "sitting", "a dog that sits", "a king with a sword", "a house with a red door",
     "little red riding hood", "a house under construction", "a street on a rainy day", "a house under a blue sky",
     "a game over screen", "a red and a blue ball", "a carrying case", "a man holding up a sign", "cat, above all cute",
     "a cup with no handle on it", "a cup with steam over it", "a cat with a blue background",
     "a cat above and a dog below",
     "an apple on the right and a pear on the left", "a cat on a blue background with a dog", "a cat without a dog"],
)  # fmt: skip
def test_one_thing_stays_one(prompt: str) -> None:
    assert pair_of(prompt) is None


@pytest.mark.parametrize("words", ["a cat ", "on ", "and a ", "background ", "with a cat on it ", "red wall with a "])
def test_a_long_prompt_is_read_in_time_that_grows_with_it(words: str) -> None:
    assert pair_of(words * 20_000) is None or isinstance(pair_of(words * 20_000), Pair)


def before(colour: tuple[float, float, float], down: slice, across: slice, ground: tuple[float, ...] = BLUE) -> Picture:
    """A picture of a block of one colour."""
    picture = np.empty((SIDE, SIDE, 3), np.float32)
    picture[:] = ground
    picture[down, across] = colour
    return picture


def block(high: int, wide: int) -> Layer:
    return np.ones((high, wide, 4), np.float32)


def where(picture: Picture, colour: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """left, top, right, bottom of a colour, in shares of the side."""
    rows, columns = np.where(np.abs(picture - colour).max(-1) < 0.15)
    height, width = picture.shape[:2]
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


def test_what_stands_out_is_cut_out() -> None:
    found = cut_out(before(RED, slice(10, 30), slice(20, 50)))
    assert found is not None
    assert found.shape == (20, 30, 4)
    np.testing.assert_allclose(found[..., :3], np.broadcast_to(RED, (20, 30, 3)), atol=1e-6)
    assert (found[..., 3] == 1).all()


def test_a_soft_edge_takes_nothing_of_its_ground_along() -> None:
    picture = before(RED, slice(10, 30), slice(20, 50))
    picture[10:15, 20:30] = 0.85 * np.array(BLUE) + 0.15 * np.array(RED)
    found = cut_out(picture)
    assert found is not None
    opacity = found[2, 2, 3]
    assert 0 < opacity < 1
    # On a ground of its own colour it is what it was.
    np.testing.assert_allclose(found[2, 2, :3] + (1 - opacity) * np.array(BLUE), picture[12, 22], atol=1e-6)


@pytest.mark.parametrize("specks", [[], [(5, 5)], [(5, 5), (40, 41), (63, 63)]])
def test_of_a_bare_ground_and_its_specks_nothing_is_cut_out(specks: list[tuple[int, int]]) -> None:
    picture = before(BLUE, slice(0), slice(0))
    for place in specks:
        picture[place] = RED
    assert cut_out(picture) is None


def test_what_is_enclosed_is_the_things_whatever_its_colour() -> None:
    white = (1.0, 1.0, 1.0)
    rabbit = before((0.5, 0.5, 0.5), slice(10, 40), slice(10, 40), white)
    rabbit[13:37, 13:37] = white
    found = cut_out(rabbit)
    assert found is not None
    assert (found[..., 3] == 1).all()
    made = laid_together("left of", [before(RED, slice(10, 30), slice(20, 50)), rabbit])
    assert (np.abs(made - white).max(-1) < 0.05).sum() > 200  # and no window onto the blue


def test_nothing_of_a_shaded_ground_comes_along() -> None:
    second = before(YELLOW, slice(10, 30), slice(20, 50))
    second[30:40, 30:40] += 0.05
    made = laid_together("left of", [before(RED, slice(10, 30), slice(20, 50)), second])
    left = np.abs(made - np.array(BLUE, np.float32)).max(-1)
    assert ((left < 1e-6) | (left > 0.08)).mean() > 0.97  # but for soft edges


@pytest.mark.parametrize("motion", [said for each in MOVING.values() for said in each])
def test_words_of_moving_hide_no_pair(motion: str) -> None:
    _, rest = motion_of(f"a red cat above a green dog {motion} on blue")
    assert pair_of(rest) == Pair("above", "a red cat on blue", "a green dog on blue")


def test_one_sits_between_the_ears() -> None:
    mount = block(40, 60)
    mount[:20] = 0  # the back is half way down
    mount[:20, 50:] = 1  # the head
    assert seat_of(mount) == 0.5
    assert seat_of(np.zeros((4, 4, 4), np.float32)) == 0.0


SHAPES = [(20, 20), (10, 40), (40, 10), (56, 58), (3, 3)]


@pytest.mark.parametrize("one", SHAPES)
@pytest.mark.parametrize("two", SHAPES)
@pytest.mark.parametrize("relation", SAID)
def test_each_relation_holds_and_all_of_it_is_in_the_picture(
    relation: str, one: tuple[int, int], two: tuple[int, int]
) -> None:
    first = before(RED, slice(3, 3 + one[0]), slice(2, 2 + one[1]))
    second = before(YELLOW, slice(4, 4 + two[0]), slice(1, 1 + two[1]))
    made = laid_together(relation, [first, second])
    assert made.shape == first.shape
    left1, top1, right1, bottom1 = where(made, RED)
    left2, top2, right2, bottom2 = where(made, YELLOW)
    assert min(left1, top1, left2, top2) > 0
    assert max(right1, bottom1, right2, bottom2) < 1
    across = abs(left1 + right1 - left2 - right2) / 2
    holds = {
        "left of": right1 <= left2,
        "above": bottom1 <= top2 and across < 0.05,
        "on": top1 < top2 and bottom1 >= top2 - 0.02 and across < 0.05,
        "riding": top1 < top2 and bottom1 >= top2 - 0.02 and across < 0.05,
        "holding": left1 < right2 - 0.1 and right1 < right2 and top1 < bottom2 and top2 < bottom1,
    }
    assert holds[relation], (relation, (left1, top1, right1, bottom1), (left2, top2, right2, bottom2))


def test_a_rider_sits_and_does_not_hover() -> None:
    rider, mount = layout("riding", block(20, 20), block(20, 30))
    assert mount.top < rider.top + rider.height
    assert rider == Box(-0.25, pytest.approx(-0.35), 0.5, 0.5)


@pytest.mark.parametrize("shape", [(64, 128), (128, 64)])
def test_a_picture_that_is_no_square_is_filled(shape: tuple[int, int]) -> None:
    pictures = []
    for colour in (RED, YELLOW):
        picture = np.empty((*shape, 3), np.float32)
        picture[:] = BLUE
        picture[20:40, 20:40] = colour
        pictures.append(picture)
    made = laid_together("left of", pictures)
    assert made.shape == (*shape, 3)
    assert where(made, RED)[0] > 0
    assert where(made, YELLOW)[2] < 1
    if shape[1] > shape[0]:
        assert where(made, YELLOW)[2] - where(made, RED)[0] > 0.4


def test_where_one_is_nothing_the_other_stays_as_it_was_drawn() -> None:
    something, nothing = before(RED, slice(10, 30), slice(20, 50)), before(BLUE, slice(0), slice(0))
    np.testing.assert_array_equal(laid_together("on", [something, nothing]), something)
    np.testing.assert_array_equal(laid_together("on", [nothing, something]), something)
    np.testing.assert_array_equal(laid_together("on", [nothing, nothing]), nothing)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_hidden(which: int, bad: float) -> None:
    pictures = [before(RED, slice(10, 30), slice(20, 50)), before(YELLOW, slice(10, 30), slice(20, 50))]
    pictures[which][3, 3, 0] = bad
    assert not np.isfinite(laid_together("above", pictures)).all()
