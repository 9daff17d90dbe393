"""What a decoder lets through, and the sentence for whatever it does not. Every file goes through the real process."""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.engine.encoding import frames
from moderation.formats import limits
from moderation.formats.decoding import BadUpload, Decoded, decode
from moderation.provenance.authority import of_the_house
from moderation.provenance.credentials import Signer
from tests.uploads import files

ROOT = Path(__file__).resolve().parent.parent.parent


def pixels(decoded: Decoded) -> np.ndarray:
    with Image.open(io.BytesIO(decoded.pixels)) as picture:
        assert picture.mode == "RGB"
        assert picture.info == {}
        return np.asarray(picture).astype(int)


def picture(data: bytes) -> Decoded:
    return decode([data], "picture")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_picture_comes_through_as_it_was(kind: str) -> None:
    how = {"lossless": True} if kind == "WEBP" else {}
    decoded = picture(files.saved(files.drawing(), kind, **how))
    assert np.abs(pixels(decoded) - np.asarray(files.drawing())).max() == 0
    assert decoded.alpha is None
    record = decoded.record
    assert (record["format"], record["width"], record["height"]) == (kind, 96, 64)
    assert not record["is_flat"]
    assert not record["has_credentials"]
    assert len(record["sha256"]) == 64


def test_a_name_or_a_type_that_is_told_counts_for_nothing() -> None:
    """Only what the bytes are: there is no parameter for anything else."""
    assert picture(files.saved(files.drawing(), "JPEG")).record["format"] == "JPEG"


def test_a_photograph_is_turned_as_its_camera_held_it_and_says_who_took_it() -> None:
    decoded = picture(files.turned(6))
    upright = np.asarray(files.drawing().transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(pixels(decoded)[8:40, 8:24] - upright[8:40, 8:24]).max() < 12
    assert decoded.record["camera"] == {"make": "Canon", "model": "EOS 5D", "taken": True}
    assert b"Canon" not in decoded.pixels


def test_what_its_credentials_say_of_where_it_comes_from_is_kept(tmp_path: Path) -> None:
    signer = Signer(of_the_house(tmp_path / "keys", "Somebody"))
    plain = files.saved(files.drawing())
    made = signer.sign(plain, "image/png", made="trainedAlgorithmicMedia", model="a model")
    assert picture(made).record["source"] == "trainedAlgorithmicMedia"
    assert "source" not in picture(plain).record
    nothing = picture(files.saved(files.drawing(), "JPEG", comment=b"jumdc2pa")).record
    assert (nothing["has_credentials"], nothing["source"]) == (True, "")


def test_colours_of_a_press_become_colours_of_a_screen() -> None:
    decoded = picture(files.saved(files.drawing().convert("CMYK"), "JPEG", quality=95))
    red = pixels(decoded)[20, 20]
    assert red[0] > 180
    assert red[1:].max() < 80


def test_sixteen_bits_keep_their_shades() -> None:
    row = pixels(picture(files.sixteen_bits()))[10, :, 0]
    assert row[0] == 0
    assert row[-1] >= 254
    assert (np.diff(row) >= 0).all()
    assert len(np.unique(row)) > 90


def test_what_is_see_through_shows_white_and_its_alpha_is_kept() -> None:
    drawing = files.drawing().convert("RGBA")
    drawing.paste((0, 0, 0, 0), (0, 0, 48, 64))
    decoded = picture(files.saved(drawing))
    assert (pixels(decoded)[:, :48] == 255).all()
    assert decoded.alpha is not None
    with Image.open(io.BytesIO(decoded.alpha)) as alpha:
        assert alpha.mode == "L"
        assert np.asarray(alpha)[:, :48].max() == 0
        assert np.asarray(alpha)[:, 48:].min() == 255
    opaque = picture(files.saved(files.drawing().convert("RGBA")))
    assert opaque.alpha is None


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_way_to_store_colours_is_read(mode: str) -> None:
    assert pixels(picture(files.saved(files.drawing().convert(mode)))).shape == (64, 96, 3)


def test_nothing_but_pixels_comes_through() -> None:
    data = files.scripted()
    assert b"alert(1)" in data
    decoded = picture(data)
    assert b"script" not in decoded.pixels
    assert b"php" not in decoded.pixels
    kinds = [decoded.pixels[at + 4 : at + 8] for at in chunk_starts(decoded.pixels)]
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def chunk_starts(data: bytes) -> list[int]:
    at, starts = 8, []
    while at < len(data):
        starts.append(at)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return starts


def test_content_credentials_are_noticed_wherever_they_lie() -> None:
    data = files.saved(files.drawing())
    boxed = data[:33] + files.chunk(b"caBX", b"\0\0\0\x1cjumb\0\0\0\x14jumdc2pa") + data[33:]
    assert picture(boxed).record["has_credentials"]


def test_one_colour_is_said_to_be_one() -> None:
    assert picture(files.saved(Image.new("RGB", (64, 64), "white"))).record["is_flat"]


def test_a_large_picture_is_made_smaller_and_keeps_its_shape() -> None:
    decoded = picture(files.saved(files.drawing(6000, 3000)))
    assert pixels(decoded).shape == (limits.MOST_SIDE // 2, limits.MOST_SIDE, 3)
    assert (decoded.record["width"], decoded.record["decoded_width"]) == (6000, limits.MOST_SIDE)


BAD_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "The file is empty."),
    "a text": (lambda: b"GIF89a? no, a text", "no picture that can be read"),
    "a script under a picture's name": (lambda: b"<svg onload='alert(1)'></svg>", "no picture that can be read"),
    "a film": (files.film, "no picture that can be read"),
    "a TIFF": (lambda: files.saved(files.drawing(), "TIFF"), "Bring a PNG, JPEG or WebP."),
    "a program": (lambda: Path(sys.executable).resolve().read_bytes()[:2_000_000], "no picture that can be read"),
    "a huge header": (files.huge_header, "50,000 x 50,000 pixels; at most 40,000,000 pixels can be read"),
    "one pixel high": (lambda: files.saved(Image.new("RGB", (900, 1))), "900 x 1 pixels; each side needs 16"),
    "a bomb of text": (files.text_bomb, ""),
    "cut short": (lambda: files.saved(files.drawing(400, 400))[:900], "damaged, or ends before"),
    "a cut JPEG": (lambda: files.saved(files.drawing(400, 400), "JPEG")[:-3000], "damaged, or ends before"),
    "an animated GIF": (files.animated, "an animation of 4 frames"),
    "an animated WebP": (lambda: files.animated("WEBP"), "an animation of 4 frames"),
    "an animated PNG": (lambda: files.animated("PNG"), "an animation of 4 frames"),
}


@pytest.mark.parametrize(("make", "said"), BAD_PICTURES.values(), ids=BAD_PICTURES.keys())
def test_a_bad_picture_gets_a_sentence(make: Callable[[], bytes], said: str) -> None:
    data = make()
    start = time.monotonic()
    with pytest.raises(BadUpload) as caught:
        picture(data)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")
    assert str(ROOT) not in str(caught.value)
    assert time.monotonic() - start < limits.WALL_SECONDS


def test_data_beyond_the_picture_are_not_unfolded() -> None:
    """Hundreds of megabytes behind a picture of 36 million pixels."""
    assert picture(files.bomb()).record["is_flat"]


def test_what_is_too_large_is_not_even_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def chunks() -> object:
        nonlocal taken
        while True:
            taken += 1_000_000
            yield b"\0" * 1_000_000

    with pytest.raises(BadUpload, match="larger than 20 MB"):
        decode(chunks(), "picture")  # type: ignore[arg-type]
    assert taken <= limits.MOST_BYTES["picture"] + 2_000_000


@pytest.mark.parametrize("kind", ["mp4", "webm", "mov"])
def test_a_film_comes_through_frame_by_frame(kind: str) -> None:
    decoded = decode([files.film(16, 8, kind=kind)], "film")
    kept = np.stack(list(frames(io.BytesIO(decoded.pixels))))
    assert kept.shape == (16, 64, 96, 3)
    assert np.abs(kept[3].astype(int) - np.asarray(files.drawing()))[8:24, 8:40].max() < 12
    record = decoded.record
    assert (record["frames"], record["fps"], record["seconds"]) == (16, 8.0, 2.0)


def test_what_a_film_says_of_itself_does_not_come_through() -> None:
    data = files.film(4, 8, title="<script>", comment="where I live")
    assert b"where I live" in data
    decoded = decode([data], "film")
    assert b"where I live" not in decoded.pixels
    assert b"<script>" not in decoded.pixels


def test_a_long_film_is_thinned_and_a_large_one_made_smaller() -> None:
    decoded = decode([files.film(300, 30, size=(1600, 400))], "film")
    record = decoded.record
    assert (record["frames"], record["fps"], record["seconds"]) == (100, 10.0, 10.0)
    assert (record["decoded_width"], record["decoded_height"]) == (1280, 320)


BAD_FILMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a picture": (lambda: files.saved(files.drawing()), "no film that can be read. Bring an MP4 or a WebM."),
    "a text": (lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no film that can be read"),
    "a playlist": (lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "no film that can be read"),
    "only sound": (files.sound, "no film that can be read"),
    "no frames": (lambda: files.film(0), ""),
    "an hour": (lambda: files.film(60, 1, size=(32, 32)), "lasts 60 seconds; at most 30 can be read"),
    "cut short": (lambda: files.film(60, 8)[:2500], ""),
    "too large": (lambda: files.film(1, 1, size=(2560, 1440)), "2,560 x 1,440 pixels"),
    "nothing": (lambda: b"", "The file is empty."),
}


@pytest.mark.parametrize(("make", "said"), BAD_FILMS.values(), ids=BAD_FILMS.keys())
def test_a_bad_film_gets_a_sentence(make: Callable[[], bytes], said: str) -> None:
    with pytest.raises(BadUpload) as caught:
        decode([make()], "film")
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


def test_nothing_of_an_upload_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    picture(files.saved(files.drawing()))
    for bad in (b"no picture", files.huge_header(), b""):
        with pytest.raises(BadUpload):
            picture(bad)
    assert list(tmp_path.iterdir()) == []


def run_child(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run some code confined as a decoder is."""
    code = f"from moderation.formats.child import confine; confine()\n{body}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "bytearray(3_000_000_000)",
        "f = open('big', 'wb')\nfor _ in range(2000): f.write(b'0' * 1_000_000)",
        "files = [open('/dev/null') for _ in range(200)]",
    ],
    ids=["memory", "disk", "files"],
)
def test_a_decoder_cannot_have_more_than_its_share(tmp_path: Path, body: str) -> None:
    assert run_child(tmp_path, f"{body}\nprint('had it all')").stdout == ""
    assert run_child(tmp_path, "print('alive')").stdout == "alive\n"


def test_a_decoder_that_burns_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass"
    assert run_child(tmp_path, body).returncode == -9 or run_child(tmp_path, body).returncode == -24
    monkeypatch.setattr(limits, "WALL_SECONDS", 0.01)
    with pytest.raises(BadUpload, match=r"took more than 0\.01 seconds"):
        picture(files.saved(files.drawing()))


def test_the_parent_and_the_decoder_know_no_django_and_the_parent_opens_nothing() -> None:
    for module, unwanted in (
        ("moderation.formats.decoding", {"django", "PIL", "av", "numpy"}),
        ("moderation.formats.child", {"django", "torch", "numpy"}),
    ):
        code = f"import sys, {module}; sys.exit(bool({unwanted!r} & set(sys.modules)))"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
