"""The parts of the house models before they are trained: what they read, what they are told, how they fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_world import world  # noqa: F401
from training.models import autoencoder, clip, painter
from training.models.words import LENGTH, SAME, as_people_say, tokenizer, words
from training.world.captions import article, caption, is_true, request
from training.world.scenes import World

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def read() -> object:
    return tokenizer()


def told(read: object, text: str) -> list[str]:
    return [word for word in read.tokenize(text)]  # type: ignore[attr-defined]


def test_every_caption_is_made_of_known_words_and_fits(world: World, read: object) -> None:  # noqa: F811
    rng = np.random.default_rng(1)
    for kind in ("single", "many", "pair"):
        for _ in range(150):
            text = caption(world.sample(rng, kind=kind, learnt=None), rng).text
            said = told(read, text)
            assert "<unk>" not in said, text
            assert len(said) + 2 <= LENGTH, text


def test_other_words_for_a_thing_become_the_one_that_was_learnt(read: object) -> None:
    known = set(words())
    for said, meant in SAME.items():
        assert set(meant.replace("-", " ").split()) <= known, meant
        assert told(read, f"a {said} on blue") == ["a", *meant.replace("-", " ").split(), "on", "blue"], said
    assert told(read, "a T-Shirt, GRAY!") == ["a", "shirt", "grey"]
    assert told(read, "a majestic horse") == ["a", "<unk>", "horse"]


def test_the_end_has_the_highest_number(read: object) -> None:
    """CLIP's text towers find the end of a text by it."""
    ids = read("a cat").input_ids  # type: ignore[operator]
    assert ids[-1] == max(ids) == len(read) - 1  # type: ignore[arg-type]


def test_other_peoples_words_say_the_same(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(2)
    for _ in range(100):
        text = caption(world.sample(rng), rng).text
        kept = [word for word in as_people_say(text, rng).split() if word not in ("a", "an", "the", "whatsoever")]
        assert kept == [word for word in text.split() if word not in ("a", "an", "the")]


def test_a_foil_is_another_scene_and_its_words_are_hardly_ever_true(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(3)
    true = asked = 0
    for _ in range(300):
        scene = world.sample(rng, kind=str(rng.choice(["many", "pair"])))
        other = clip.foil(scene, world, rng)
        assert other is not None
        assert request(other) != request(scene) or scene.first.colour == scene.second.colour  # type: ignore[union-attr]
        asked += 1
        true += is_true(caption(other, rng, full=1), scene) is True
    assert true / asked < 0.15


def test_each_scene_has_its_own_caption_among_the_true_ones(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(4)
    scenes = [world.sample(rng) for _ in range(30)]
    true = clip.truths([caption(scene, rng) for scene in scenes], scenes)
    assert (np.diagonal(true) == 1).all()
    assert np.nan_to_num(true).mean() < 0.2


@pytest.fixture(scope="module")
def eyes() -> clip.Trained:
    torch.manual_seed(0)
    return clip.Trained().eval()


def test_reading_without_padding_says_the_same(eyes: clip.Trained) -> None:
    texts = ["a cat", "a red apple on top of a blue table", "two small yellow stars on black"]
    with torch.no_grad():
        usual = eyes.clip.encode_text(clip.tokens(texts), normalize=True)
        assert torch.allclose(clip.read(eyes.clip, clip.tokens(texts)), usual, atol=1e-5)


def test_the_loss_falls_where_pictures_and_words_are_few(world: World, eyes: clip.Trained) -> None:  # noqa: F811
    """Twelve steps over eight scenes: nothing is learnt of the world, but the gradients point somewhere."""
    rng = np.random.default_rng(5)
    scenes = [world.sample(rng) for _ in range(8)]
    captions = [caption(scene, rng, full=1) for scene in scenes]
    seen = clip.as_tensor(clip.pictures(world, scenes, rng))
    said = clip.tokens([one.text for one in captions])
    true, there = (torch.from_numpy(each) for each in (clip.truths(captions, scenes), clip.shown(world, scenes)))
    names = clip.tokens([article(word) for word in world.words])
    model = clip.Trained().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = clip.contrast(model, model.clip.visual, seen, said, true, there, names)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_whole_batch_is_learnt_from(
    world: World,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clip, "compiled", lambda module: module)
    run = clip.train(world, minutes=5, steps=2, folder=tmp_path, size=12)
    assert run.step == 2
    again = clip.resumed(tmp_path)
    assert again.step == 2
    assert all(torch.isfinite(value).all() for value in again.weights().values())


def test_other_colours_leave_the_shapes(world: World) -> None:  # noqa: F811
    rng = np.random.default_rng(7)
    seen = clip.as_tensor(clip.pictures(world, [world.sample(rng) for _ in range(8)], rng))
    other = clip.recoloured(seen, torch.Generator().manual_seed(7))
    assert other.shape == seen.shape
    assert float(other.min()) >= 0
    assert float(other.max()) <= 1
    for before, after in zip(seen, other, strict=True):
        # Where neighbours differ they still do, in whatever colours.
        steps = [(picture[:, :, 1:] - picture[:, :, :-1]).abs().amax(0).flatten() for picture in (before, after)]
        assert np.corrcoef(*(step.numpy() for step in steps))[0, 1] > 0.5
    assert (seen - other).abs().mean() > 0.1


def test_the_painter_reads_as_the_clip_does(eyes: clip.Trained) -> None:
    encoder = painter.build_text_encoder().eval()
    painter.take_words(encoder, {key.removeprefix("clip."): value for key, value in eyes.state_dict().items()})
    ids = clip.tokens(["a red apple on blue", "a cat"])
    long = ids.shape[1]
    with torch.no_grad():
        states = eyes.clip.token_embedding(ids) + eyes.clip.positional_embedding[:long]
        usual = eyes.clip.ln_final(eyes.clip.transformer(states, attn_mask=eyes.clip.attn_mask[:long, :long]))
        assert torch.allclose(encoder(ids).last_hidden_state, usual, atol=1e-4)


def test_latents_have_unit_scale_and_decode_as_before(
    world: World,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(painter, "SCALE_SAMPLES", 32)
    monkeypatch.setattr(autoencoder, "compiled", lambda module: module)  # it would take longer than the step
    torch.manual_seed(1)
    autoencoder.train(world, minutes=5, steps=1, folder=tmp_path, batch=4)
    plain, scaled = autoencoder.load(tmp_path), painter.scaled_vae(world, tmp_path)
    rng = np.random.default_rng(23)
    seen = clip.as_tensor(np.concatenate([autoencoder.pictures(world, rng, 16) for _ in range(2)])) * 2 - 1
    with torch.no_grad():
        latents = scaled.encode(seen).latent_dist.mean
        assert latents.mean((0, 2, 3)).abs().max() < 0.05
        assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.1
        before = plain.decode(plain.encode(seen[:3]).latent_dist.mean).sample
        assert torch.allclose(scaled.decode(latents[:3]).sample, before, atol=1e-2)


def test_pieces_are_parts_of_their_pictures_and_mostly_of_the_middle() -> None:
    rows, columns = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    whole = np.stack([rows, columns, rows ^ columns], -1).astype(np.uint8)[None].repeat(200, 0)
    cut = autoencoder.pieces(whole, np.random.default_rng(8))
    assert cut.shape == (200, autoencoder.PIECE, autoencoder.PIECE, 3)
    assert np.array_equal(cut[..., 2], cut[..., 0] ^ cut[..., 1])
    corners = cut[:, 0, 0, :2].astype(int)
    assert corners.min() >= 0
    assert corners.max() <= 128 - autoencoder.PIECE
    assert len(np.unique(corners)) > 30
    assert np.abs(corners - 32).mean() < 20


def test_noise_and_velocity_give_the_picture_back() -> None:
    noises = painter.Noise()
    clean, noise = torch.randn(64, 16, 8, 8), torch.randn(64, 16, 8, 8)
    time = noises.times(64, torch.Generator().manual_seed(6))
    assert len(set(time.tolist())) > 50
    noisy, velocity = noises.mixed(clean, noise, time)
    assert torch.allclose(noises.clean(noisy, velocity, time), clean, atol=1e-4)
    # At the last step nothing of the picture is left: else the background's brightness could not be chosen.
    assert float(noises.keep[-1]) == pytest.approx(0, abs=1e-3)
