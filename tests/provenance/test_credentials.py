"""Credentials say what a file is, to us and to anybody who reads C2PA or XMP; and nothing of whoever asked for it."""

import datetime
import io
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from generation.engine.encoding import film
from moderation.provenance import authority, credentials
from moderation.provenance.authority import KeysUnusable, checked, of_the_house
from moderation.provenance.credentials import Signer, read
from tests.uploads.files import drawing, saved

GENERATED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> authority.Keys:
    return of_the_house(tmp_path_factory.mktemp("keys") / "house", "Vaglio of the tests")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> authority.Keys:
    return of_the_house(tmp_path_factory.mktemp("keys") / "other", "Another house")


PNG = saved(drawing(320, 240), "PNG")
MP4 = film(np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8), 8)


def signed(keys: authority.Keys, data: bytes = PNG, media_type: str = "image/png", made: str = GENERATED) -> bytes:
    return Signer(keys).sign(data, media_type, made=made, model="house-painter")  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "media_type"), [(PNG, "image/png"), (MP4, "video/mp4")], ids=["picture", "film"])
@pytest.mark.parametrize("made", [GENERATED, COMPOSITE])
def test_a_signed_file_says_what_it_is_and_is_ours(
    keys: authority.Keys, data: bytes, media_type: str, made: str
) -> None:
    marked = signed(keys, data, media_type, made)
    assert len(marked) < len(data) + 6000
    found = read(marked, media_type, keys.anchors)
    assert (found.state, found.source, found.issuer, found.generator) == ("ours", made, "Vaglio of the tests", "Vaglio")
    assert f'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{made}"'.encode() in marked


def test_the_pixels_are_what_they_were(keys: authority.Keys) -> None:
    with Image.open(io.BytesIO(signed(keys))) as marked, Image.open(io.BytesIO(PNG)) as plain:
        assert marked.tobytes() == plain.tobytes()
        assert b"DigitalSourceType" in marked.info["xmp"]


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 0xFF
    return bytes(changed)


ALTERED: dict[str, tuple[Callable[[bytes], bytes], set[str]]] = {
    "a pixel": (lambda data: flipped(data, data.rindex(b"IDAT") + 20), {"ours_altered"}),
    "the manifest": (lambda data: flipped(data, data.index(b"jumdc2pa") + 600), {"broken"}),
    "what it says it is": (
        lambda data: data.replace(
            b"digitalsourcetype/trainedAlgorithmicMedia", b"digitalsourcetype/digitalCapture_______"
        ),
        {"broken", "ours_altered"},
    ),
    "cut in two": (lambda data: data[: len(data) // 2], {"broken", "ours_altered", "none"}),
    "with something behind": (lambda data: data + b"more", {"ours_altered", "broken"}),
}


@pytest.mark.parametrize("how", ALTERED)
def test_whatever_is_changed_is_not_ours_as_it_is(keys: authority.Keys, how: str) -> None:
    change, allowed = ALTERED[how]
    marked = signed(keys)
    changed = change(marked)
    assert changed != marked
    assert read(changed, "image/png", keys.anchors).state in allowed


def test_a_film_whose_frames_were_changed_is_told(keys: authority.Keys) -> None:
    marked = signed(keys, MP4, "video/mp4")
    assert read(flipped(marked, len(MP4) // 2), "video/mp4", keys.anchors).state == "ours_altered"


def test_a_manifest_put_into_another_picture_makes_it_no_better(keys: authority.Keys) -> None:
    """The chunk that holds it is cut out and put into a photograph, say."""
    marked = signed(keys)
    (chunk,) = re.findall(rb"(?s)(.{4}caBX.*?)(?=.{4}(?:iTXt|IDAT))", marked)[:1]
    other = saved(drawing(320, 240, seed=5), "PNG")
    forged = other[:33] + chunk + other[33:]
    assert read(forged, "image/png", keys.anchors).state in {"ours_altered", "broken"}


def test_another_house_is_foreign_and_names_itself(keys: authority.Keys, strangers: authority.Keys) -> None:
    found = read(signed(strangers), "image/png", keys.anchors)
    assert (found.state, found.issuer) == ("foreign", "Another house")


def test_a_copy_saved_anew_has_none(keys: authority.Keys) -> None:
    with Image.open(io.BytesIO(signed(keys))) as marked:
        again = saved(marked.convert("RGB"), "JPEG")
    assert read(again, "image/jpeg", keys.anchors).state == "none"


@pytest.mark.parametrize("data", [b"", b"x" * 1000, PNG[:100], b"\x89PNG\r\n\x1a\n" + b"\0" * 500, b"jumdc2pa" * 100])
@pytest.mark.parametrize(
    "media_type", ["image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "text/html", ""]
)
def test_no_file_makes_reading_fail(keys: authority.Keys, data: bytes, media_type: str) -> None:
    assert read(data, media_type, keys.anchors).state in {"none", "broken"}


def test_nothing_but_pictures_and_films_is_signed(keys: authority.Keys) -> None:
    with pytest.raises(ValueError, match="not into image/jpeg"):
        signed(keys, saved(drawing(), "JPEG"), "image/jpeg")


def test_the_houses_own_keys_are_made_once_by_whoever_is_first(tmp_path: Path) -> None:
    found: list[authority.Keys] = []
    threads = [threading.Thread(target=lambda: found.append(of_the_house(tmp_path / "c", "Vaglio"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert stat.S_IMODE((tmp_path / "c" / authority.KEY).stat().st_mode) == 0o600
    assert set(path.name for path in (tmp_path / "c").iterdir()) == {"chain.pem", "key.pem", "anchors.pem"}


def test_keys_that_do_not_fit_are_refused_with_a_sentence(
    keys: authority.Keys, strangers: authority.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(keys.chain, keys.key, b"").anchors == keys.anchors
    other = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for chain, key, said in (
        (keys.chain, strangers.key, "not that of the chain's first certificate"),
        (keys.chain, other, "curve P-256"),
        (b"nonsense", keys.key, "cannot be read"),
        (keys.chain, b"nonsense", "cannot be read"),
    ):
        with pytest.raises(KeysUnusable, match=said):
            checked(chain, key, b"")

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Later":  # type: ignore[override]
            return cls(2100, 1, 1, tzinfo=tz)

    monkeypatch.setattr(authority.datetime, "datetime", Later)
    with pytest.raises(KeysUnusable, match="ended on"):
        checked(keys.chain, keys.key, keys.anchors)


def test_our_certificate_may_sign_nothing_but_files(keys: authority.Keys) -> None:
    leaf, root = x509.load_pem_x509_certificates(keys.chain)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    leaf.verify_directly_issued_by(root)


def test_the_reader_asks_no_network(monkeypatch: pytest.MonkeyPatch, keys: authority.Keys) -> None:
    settings: dict[str, object] = {}
    usual = credentials.c2pa.Settings.from_dict

    def noted(values: dict[str, object]) -> object:
        settings.update(values)
        return usual(values)

    monkeypatch.setattr(credentials.c2pa.Settings, "from_dict", staticmethod(noted))
    read(PNG, "image/png", keys.anchors)
    assert settings["verify"] == {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}


FORKED = """
import os, sys, django
django.setup()
from moderation.screening import marks
from tests.provenance.test_credentials import GENERATED, PNG
marks.signer().sign(PNG, "image/png", made=GENERATED, model="one")
child = os.fork()
if child == 0:
    os._exit(0 if marks.signer().sign(PNG, "image/png", made=GENERATED, model="two") else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_signs_as_well_as_its_parent(tmp_path: Path) -> None:
    """In a process of its own: one that runs other libraries' threads, as this one may, cannot be forked safely."""
    env = os.environ | {"VAGLIO_DATA": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
