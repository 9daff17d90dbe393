"""What the engine does when one item is bad, when memory is short, and when models take turns."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generation.engine import DrawItem, Drawn, EngineBroken, ModelCard, NotDrawn
from generation.engine import diffusion as module
from generation.engine.diffusion import DiffusersEngine

# Half of a character: no tokenizer reads it.
UNREADABLE = "a \ud800 cat"


def item(key: str, seed: int = 1, prompt: str = "a red apple") -> DrawItem:
    return DrawItem(
        key=key, prompt=prompt, negative_prompt="", seed=seed, width=64, height=64, steps=2, guidance_scale=5.0
    )


def go_on(step: int, total: int) -> Collection[str]:
    return ()


@pytest.fixture
def engine() -> DiffusersEngine:
    return DiffusersEngine(device="cpu", threads=1)


def fates(results: list[Drawn | NotDrawn]) -> dict[str, str]:
    return {result.key: result.reason if isinstance(result, NotDrawn) else "drawn" for result in results}


def test_an_item_that_raises_fails_alone(engine: DiffusersEngine, tiny: ModelCard) -> None:
    items = [item("a"), item("b", prompt=UNREADABLE), item("c", 3)]
    results = engine.draw(tiny, items, on_step=go_on)
    assert fates(results) == {"a": "drawn", "b": "error", "c": "drawn"}
    assert UNREADABLE not in repr(results)
    (alone,) = engine.draw(tiny, [item("c", 3)], on_step=go_on)
    assert isinstance(alone, Drawn)
    assert isinstance(results[2], Drawn)
    assert np.abs(alone.pixels.astype(int) - results[2].pixels).max() <= 1


def test_where_nothing_can_be_drawn_the_error_is_raised(engine: DiffusersEngine, tiny: ModelCard) -> None:
    """It may be the machine's: the jobs are tried again elsewhere."""
    with pytest.raises((TypeError, UnicodeError)):
        engine.draw(tiny, [item("a", prompt=UNREADABLE), item("b", prompt=UNREADABLE)], on_step=go_on)
    assert fates(engine.draw(tiny, [item("a")], on_step=go_on)) == {"a": "drawn"}


def holds(most: int, error: Callable[[], Exception]) -> Callable[[Any, list[DrawItem]], dict[str, Any]]:
    """Arguments for a call that fits only so many items."""
    usual = module.arguments

    def arguments(pipeline: Any, items: list[DrawItem]) -> dict[str, Any]:
        if len(items) > most:
            raise error()
        return usual(pipeline, items)

    return arguments


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        MemoryError,
    ],
    ids=["gpu", "cpu", "python"],
)
def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    engine: DiffusersEngine, tiny: ModelCard, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    calls: list[int] = []
    fitting = holds(2, error)

    def arguments(pipeline: Any, items: list[DrawItem]) -> dict[str, Any]:
        calls.append(len(items))
        return fitting(pipeline, items)

    monkeypatch.setattr(module, "arguments", arguments)
    results = engine.draw(tiny, [item(str(number), number) for number in range(7)], on_step=go_on)
    assert set(fates(results).values()) == {"drawn"}
    assert [result.key for result in results] == list("0123456")
    assert calls == [7, 4, 2, 2, 3, 2, 1]


def test_one_that_does_not_fit_alone_is_raised(
    engine: DiffusersEngine, tiny: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "arguments", holds(0, MemoryError))
    with pytest.raises(MemoryError):
        engine.draw(tiny, [item("a"), item("b")], on_step=go_on)


def test_a_lost_gpu_ends_the_process_and_blames_no_item(
    engine: DiffusersEngine, tiny: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> Exception:
        return torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)

    monkeypatch.setattr(module, "arguments", holds(0, lost))
    with pytest.raises(EngineBroken):
        engine.draw(tiny, [item("a"), item("b")], on_step=go_on)


def test_what_a_step_raises_is_no_fault_of_an_item(engine: DiffusersEngine, tiny: ModelCard) -> None:
    told: list[int] = []

    def lost(step: int, total: int) -> Collection[str]:
        told.append(step)
        raise TimeoutError("the lease is lost")

    with pytest.raises(TimeoutError, match="the lease is lost"):
        engine.draw(tiny, [item("a"), item("b")], on_step=lost)
    assert told == [1]


@pytest.fixture
def several(tiny: ModelCard, tmp_path: Path) -> list[ModelCard]:
    return [replace(tiny, name=name) for name in ("one", "two", "three")]


def test_models_stay_in_memory_and_the_least_used_leaves(several: list[ModelCard]) -> None:
    one, two, three = several
    engine = DiffusersEngine(device="cpu", threads=1, memory_gb=1)
    engine.warm(one)
    size = engine._residents["one"].bytes
    engine.budget = int(2.5 * size)
    one, two, three = (replace(card, memory_gb=size / 1e9) for card in several)
    for card in (one, two, one):
        engine.draw(card, [item("a")], on_step=go_on)
    assert engine.resident == ("two", "one")
    assert engine.loaded == "one"
    kept = engine._residents["one"]
    engine.draw(three, [item("a")], on_step=go_on)
    assert engine.resident == ("one", "three")
    engine.draw(one, [item("a")], on_step=go_on)
    assert engine._residents["one"] is kept


def test_a_backlog_that_goes_back_and_forth_loads_each_model_once(
    several: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    usual = module.Resident

    def counted(card: ModelCard, device: str) -> module.Resident:
        loaded.append(card.name)
        return usual(card, device)

    monkeypatch.setattr(module, "Resident", counted)
    engine = DiffusersEngine(device="cpu", threads=1)
    for _ in range(3):
        for card in several:
            engine.draw(card, [item("a"), item("b", 2)], on_step=go_on)
    assert loaded == ["one", "two", "three"]


def test_a_model_larger_than_the_budget_is_alone(several: list[ModelCard]) -> None:
    engine = DiffusersEngine(device="cpu", threads=1, memory_gb=1)
    engine.warm(several[0])
    engine.draw(replace(several[1], memory_gb=40.0), [item("a")], on_step=go_on)
    assert engine.resident == ("two",)


def test_a_card_that_changed_is_loaded_anew(engine: DiffusersEngine, tiny: ModelCard) -> None:
    engine.warm(tiny)
    before = engine._residents["tiny"]
    engine.warm(tiny)
    assert engine._residents["tiny"] is before
    engine.warm(replace(tiny, title="Another"))
    assert engine._residents["tiny"] is not before
    assert engine.resident == ("tiny",)
