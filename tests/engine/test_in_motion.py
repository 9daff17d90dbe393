"""Which motion words ask for, and where a picture stands in each frame."""

import pytest
import torch

from generation.engine.in_motion import MOTIONS, UNTOLD, from_the_start, motion_of, moved, path

SAID = {
    "left": ("a red car moving left on blue", "a fish swims to the left", "a train moving from right to left",
             "A CAR TURNING LEFT", "una macchina che va verso sinistra", "un cane corre a sinistra"),
    "right": ("a dog running to the right", "a ball rolling right", "un gatto si sposta verso destra",
              "a fish flies rightwards"),
    "up": ("a balloon rising on white", "a bird flying up", "a rocket taking off", "un palloncino che sale",
           "un razzo va verso l'alto"),
    "down": ("falling leaves", "a stone dropping", "un gatto cade", "a bird flying downwards"),
    "bounce": ("a ball bouncing", "a frog that jumps", "una palla rimbalza"),
    "turn": ("a star spinning", "the wheel turns", "una stella che ruota", "una trottola gira su se stessa"),
    "grow": ("a tree growing", "a pumpkin getting bigger", "zoom in on a clock", "un fiore che cresce"),
    "shrink": ("a ball shrinking", "a car getting smaller", "una barca si allontana"),
}  # fmt: skip


@pytest.mark.parametrize(("motion", "prompt"), [(name, prompt) for name, said in SAID.items() for prompt in said])
def test_words_ask_for_their_motion(motion: str, prompt: str) -> None:
    found, rest = motion_of(prompt)
    assert found == motion
    assert rest != prompt
    assert motion_of(rest)[0] == UNTOLD


@pytest.mark.parametrize(
    "prompt",
    ["", "a cat to the left of a dog", "a cup on the right", "an apple for sale", "un gatto a sinistra di un cane",
     "an upright piano", "a left-handed guitar", "down jacket", "a rose", "a turnip", "il sale marino"],
)  # fmt: skip
def test_where_a_thing_is_is_no_motion(prompt: str) -> None:
    assert motion_of(prompt) == (UNTOLD, prompt)


def test_what_is_said_first_counts() -> None:
    assert motion_of("a ball rising, then falling") == ("up", "a ball , then falling")
    assert motion_of("a ball falling, then rising") == ("down", "a ball , then rising")


def test_a_painter_of_pictures_is_not_told_of_moving() -> None:
    assert motion_of("a red car driving to the left on yellow") == ("left", "a red car on yellow")
    assert motion_of("spinning") == ("turn", "spinning")  # something must be said


def test_a_long_prompt_is_read_in_time_that_grows_with_it() -> None:
    prompt = "moving to the " * 20_000
    assert motion_of(prompt) == (UNTOLD, prompt)


@pytest.mark.parametrize("motion", [*MOTIONS, UNTOLD])
def test_each_motion_goes_its_way(motion: str) -> None:
    way = path(motion, 16)
    right, down, scale, degrees = (way[-1] - way[0]).tolist()
    found = {
        "left": right < -0.3, "right": right > 0.3, "up": down < -0.3, "down": down > 0.3,
        "bounce": (torch.diff(torch.sign(torch.diff(way[:, 1]))) != 0).sum() >= 3 and abs(down) < 0.01,
        "turn": degrees > 180, "grow": scale > 0.5, "shrink": scale < -0.5, UNTOLD: 0.1 < scale < 0.2,
    }  # fmt: skip
    assert found[motion]
    still = {"left": 1, "right": 1, "up": 0, "down": 0, "bounce": 0}.get(motion)
    if still is not None:
        assert way[:, still].abs().max() == 0


@pytest.mark.parametrize("motion", [*MOTIONS, UNTOLD])
def test_a_picture_that_was_brought_stands_first_as_it_is(motion: str) -> None:
    picture = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    frames = moved(picture, from_the_start(path(motion, 16)))
    assert frames.shape == (16, 3, 32, 32)
    torch.testing.assert_close(frames[0], picture, atol=1e-4, rtol=0)
    assert (frames[-1] - picture).abs().mean() > 0.05 or motion == "bounce"  # which ends where it began


def test_a_picture_goes_where_it_is_moved_and_its_edge_is_drawn_out() -> None:
    picture = torch.zeros(3, 20, 20)
    picture[:, 8:12, 8:12] = 1
    picture[:, :, 19] = 0.5
    # A quarter to the left, a tenth down.
    (frame,) = moved(picture, torch.tensor([[-0.25, 0.1, 1.0, 0.0]]))
    assert torch.equal(frame[0] > 0.9, torch.roll(picture[0] > 0.9, (2, -5), (0, 1)))
    assert (frame[:, :, 15:] == 0.5).all()


@pytest.mark.parametrize("width", [40, 80])
def test_a_smaller_picture_is_turned_by_its_degrees(width: int) -> None:
    picture = torch.zeros(1, 40, width)
    middle = (width - 1) / 2
    picture[:, 18:22, width // 2 + 10 : width // 2 + 18] = 1  # 14 to the right of the middle
    (turned,) = moved(picture, torch.tensor([[0.0, 0.0, 0.5, 90.0]]))
    down, right = torch.argwhere(turned[0] > 0.5).float().mean(0).tolist()
    assert abs(right - middle) < 1
    assert down == pytest.approx(19.5 + 14 / 2, abs=1)  # clockwise, and half as far
