"""The fake engine does what its words say, and keeps the promises that the real one keeps."""

import numpy as np
import pytest

from generation.engine import DrawItem, Drawn, ModelCard, NotDrawn
from generation.engine.fake import FakeEngine


def item(key: str, prompt: str = "a red apple", seed: int = 1) -> DrawItem:
    return DrawItem(
        key=key, prompt=prompt, negative_prompt="", seed=seed, width=64, height=64, steps=4, guidance_scale=4.0
    )


def test_prompt_and_seed_decide_the_picture(tiny: ModelCard) -> None:
    first, other_seed, other_words, again = FakeEngine().draw(
        tiny, [item("a"), item("b", seed=2), item("c", "a cat"), item("d")], on_step=lambda done, total: ()
    )
    assert isinstance(first, Drawn)
    assert isinstance(again, Drawn)
    assert np.array_equal(first.pixels, again.pixels)
    assert len({r.pixels.tobytes() for r in (first, other_seed, other_words) if isinstance(r, Drawn)}) == 3


def test_words_of_failure_spare_the_neighbours(tiny: ModelCard) -> None:
    results = FakeEngine().draw(
        tiny, [item("a", "fault:nan"), item("b", "fault:constant"), item("c")], on_step=lambda done, total: ()
    )
    assert [result.reason if isinstance(result, NotDrawn) else "drawn" for result in results] == [
        "not_finite",
        "constant",
        "drawn",
    ]
    with pytest.raises(RuntimeError):
        FakeEngine().draw(tiny, [item("a", "fault:error")], on_step=lambda done, total: ())


def test_cancelled_keys_of_others_stop_nothing_and_all_of_ours_stop_at_once(tiny: ModelCard) -> None:
    seen: list[int] = []

    def cancel_others(done: int, total: int) -> list[str]:
        seen.append(done)
        return ["somebody else's"]

    assert isinstance(FakeEngine().draw(tiny, [item("a")], on_step=cancel_others)[0], Drawn)
    assert seen == [1, 2, 3, 4]

    def cancel_all(done: int, total: int) -> list[str]:
        seen.append(done)
        return ["a", "somebody else's"]

    assert FakeEngine().draw(tiny, [item("a")], on_step=cancel_all) == [NotDrawn("a", "cancelled")]
    assert seen == [1, 2, 3, 4, 1]
