"""What the engine costs beside bare diffusers, in one run: `python -m benchmarks.engine.house`.

Drawn with the house painter. Each figure is a ratio of two ways that take turns, so that a busy minute slows both;
the matrix product beside them tells how busy the machine is.

- overhead: batches through the engine (checks, encoding, steps told) beside a plain loop over the same pipeline
- modes: the same for each mode of the card, one medium at a time
- together: eight people's pictures in one batch, beside one after the other
- stages: which share of a batch is words, denoising, decoding, and making files
- switch: from one resident model to another
- memory: how much the process grows over many jobs
"""

import copy
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.world import ROOT
from generation.engine import DrawItem, Drawn, ModelCard, WeightsError, load_catalogue
from generation.engine.calls import arguments
from generation.engine.diffusion import DiffusersEngine
from generation.engine.encoding import original
from generation.engine.loading import Resident

CARD = "house-painter"
BATCH = 8
ROUNDS = 5
JOBS = 1000
WORDS = ("a red apple on blue", "a rocket on black", "a yellow star on green", "a cat on white")


def items(card: ModelCard, number: int, *, steps: int = 0) -> list[DrawItem]:
    """Different words and seeds, as different people send them."""
    way = card.first
    width, height = way.native_size(way.release_sizes[0])
    return [
        DrawItem(
            key=str(index),
            prompt=WORDS[index % len(WORDS)],
            negative_prompt="",
            seed=index,
            width=width,
            height=height,
            steps=steps or way.steps.default,
            guidance_scale=way.guidance_scale.default,
        )
        for index in range(number)
    ]


def shown(side: int, seed: int = 1) -> Image.Image:
    """A picture to start from: a few soft fields of colour."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def one_of(card: ModelCard, mode: str) -> DrawItem:
    """One medium of a mode, with whatever goes in."""
    way = card.modes[mode]
    width, height = way.native_size(way.release_sizes[0])
    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    given = {"picture": shown(width), "mask": mask, "control": shown(width, 2), "last": shown(width, 3)}
    given["film"] = [shown(width)] * way.frames[0]  # type: ignore[assignment]
    return DrawItem(
        key="one", prompt=WORDS[0], negative_prompt="", seed=7, width=width, height=height, steps=way.steps.default,
        guidance_scale=way.guidance_scale.default, mode=mode, frames=way.frames[0], fps=way.fps,
        strength=way.strength.default if way.strength else None, **{name: given[name] for name in way.mode.needs},
    )  # type: ignore[arg-type]  # fmt: skip


def by_modes(engine: DiffusersEngine, card: ModelCard) -> None:
    """Print a line for each mode: seconds through the engine, file made, beside a call of the same pipeline."""
    resident = Resident(card, engine.device)
    for mode, way in card.modes.items():
        item, pipeline = one_of(card, mode), resident.pipeline(way)

        def ours(item: DrawItem = item) -> None:
            (result,) = engine.draw(card, [item], on_step=lambda done, total: ())
            assert isinstance(result, Drawn), result
            original(result)

        def bare(item: DrawItem = item, pipeline: Any = pipeline) -> None:
            pipeline.scheduler = copy.deepcopy(pipeline.scheduler)
            with torch.inference_mode():
                pipeline(**arguments(pipeline, [item]), output_type="pil")

        engines, plain = taking_turns(ours, bare, rounds=3)
        print(f"{mode:<15} {engines:6.2f} s, plain diffusers {plain:6.2f} s: x{plain / engines:.3f}", flush=True)


def engine_draws(engine: DiffusersEngine, card: ModelCard, number: int, *, steps: int = 0) -> list[bytes]:
    """As a worker draws, files made. A picture that failed is no figure."""
    results = engine.draw(card, items(card, number, steps=steps), on_step=lambda done, total: ())
    assert all(isinstance(result, Drawn) for result in results), results
    return [original(result).data for result in results if isinstance(result, Drawn)]


def plain_draws(pipeline: Any, card: ModelCard, number: int) -> None:
    """As anybody draws with diffusers, pictures made and thrown away."""
    wanted = items(card, number)
    pipeline.scheduler = copy.deepcopy(pipeline.scheduler)
    with torch.inference_mode():
        pipeline(
            [item.prompt for item in wanted],
            negative_prompt=[item.negative_prompt for item in wanted],
            generator=[torch.Generator("cpu").manual_seed(item.seed) for item in wanted],
            num_inference_steps=wanted[0].steps,
            guidance_scale=wanted[0].guidance_scale,
            output_type="pil",
        )


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def taking_turns(*acts: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The median seconds of each, one after the other in every round; the first round is to warm up."""
    taken: list[list[float]] = [[] for _ in acts]
    for number in range(rounds + 1):
        for each, act in zip(taken, acts, strict=True):
            spent = seconds(act)
            if number:
                each.append(spent)
    return [statistics.median(each) for each in taken]


def gigaflops() -> float:
    """A product of two 1024 x 1024 matrices in single precision."""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return 2 * 1024**3 / seconds(lambda: left @ right) / 1e9


def stages(engine: DiffusersEngine, card: ModelCard) -> dict[str, float]:
    """Seconds of each part of one batch, by clocks around the pipeline's own parts."""
    pipeline = engine._residents[card.name].pipeline(card.first)
    spent = {"words": 0.0, "denoising": 0.0, "decoding": 0.0}

    def timed(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return act(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        return run

    parts = (("words", pipeline.text_encoder), ("denoising", pipeline.unet), ("decoding", pipeline.vae.decoder))
    for name, part in parts:
        part.forward = timed(name, part.forward)
    try:
        results: list[Any] = []
        whole = seconds(lambda: results.extend(engine.draw(card, items(card, BATCH), on_step=lambda done, total: ())))
        files = seconds(lambda: [original(result) for result in results])
    finally:
        for _, part in parts:
            del part.forward
    return spent | {"the rest": whole - sum(spent.values()), "files": files}


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    card = load_catalogue(ROOT / "generation" / "catalogue", weights_root=ROOT / "training" / "weights")[CARD]
    engine = DiffusersEngine()
    try:
        loaded = seconds(lambda: engine.warm(card))
    except WeightsError as error:
        raise SystemExit(f"{error} `python -m training.run painter` trains it.") from error
    print(f"{card.name} on {engine.device}, {torch.get_num_threads()} threads, {card.first.steps.default} guided steps")
    print(f"matrix product beside it: {statistics.median(gigaflops() for _ in range(20)):.0f} GFLOP/s")
    print(f"checked and loaded in {loaded:.2f} s")

    bare = Resident(card, engine.device).pipeline(card.first)
    ours, plain = taking_turns(lambda: engine_draws(engine, card, BATCH), lambda: plain_draws(bare, card, BATCH))
    print(f"overhead: {BATCH / ours:.2f} pictures/s, plain diffusers {BATCH / plain:.2f}: x{plain / ours:.3f}")

    by_modes(engine, card)

    together, apart = taking_turns(
        lambda: engine_draws(engine, card, BATCH),
        lambda: [plain_draws(bare, card, 1) for _ in range(BATCH)],
        rounds=3,
    )
    print(f"together: {BATCH} people {together:.2f} s, one after the other {apart:.2f} s: x{apart / together:.2f}")

    spent = stages(engine, card)
    total = sum(spent.values())
    print("stages: " + ", ".join(f"{name} {100 * part / total:.1f} %" for name, part in spent.items()))

    other = replace(card, name="another")
    engine.warm(other)
    switches = [seconds(partial(engine.warm, each)) for _ in range(10) for each in (card, other)]
    print(f"switch between two in memory: {1000 * max(switches):.2f} ms at the most")

    for _ in range(JOBS // 10):
        engine_draws(engine, card, 1, steps=1)
    before = megabytes()
    for _ in range(JOBS):
        engine_draws(engine, card, 1, steps=1)
    after = megabytes()
    print(f"memory over {JOBS} jobs: {before:.0f} MB before, {after:.0f} MB after: {100 * (after / before - 1):+.2f} %")


if __name__ == "__main__":
    main()
