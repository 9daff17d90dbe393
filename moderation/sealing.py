"""What is kept of faces is sealed: with the operator's keys, or with one that the house made for itself."""

import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

KEY = "face.key"
NUMBERS = 128
_FORM = struct.Struct(f"<qq{NUMBERS}f")


class SealingKeysUnusable(Exception):
    """The keys for what is kept of faces cannot be used. The message says which, and what to do."""


class SealBroken(Exception):
    """A sealed descriptor does not open: another key, a changed byte, or a row that it does not belong to."""


@dataclass(frozen=True)
class Belongs:
    """The rows that a descriptor belongs to; sealed in with it."""

    template: int
    entry: int


class Ring:
    """Keys in order: the first seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys])

    def seal(self, numbers: Sequence[float], belongs: Belongs) -> bytes:
        """Seal a descriptor. Raises ValueError where it has not 128 numbers."""
        if len(numbers) != NUMBERS:
            raise ValueError(f"A descriptor has {NUMBERS} numbers, not {len(numbers)}.")
        return self._keys.encrypt(_FORM.pack(belongs.template, belongs.entry, *numbers))

    def open(self, sealed: bytes, belongs: Belongs) -> tuple[float, ...]:
        """What was sealed. Raises SealBroken, naming the row."""
        try:
            template, entry, *numbers = _FORM.unpack(self._keys.decrypt(sealed))
        except (InvalidToken, struct.error) as error:
            raise SealBroken(
                f"The face of template {belongs.template} does not open. Is its key missing from REGISTRY_KEYS?"
            ) from error
        if (template, entry) != (belongs.template, belongs.entry):
            raise SealBroken(f"The face of template {belongs.template} was sealed for another row.")
        return tuple(numbers)


@lru_cache(maxsize=8)
def ring(keys: tuple[str, ...], folder: Path) -> Ring:
    """The keys that were given, or the house's own in a folder. Raises SealingKeysUnusable."""
    try:
        return Ring([key.encode() for key in keys] or [of_the_house(folder)])
    except ValueError as error:
        where = "REGISTRY_KEYS" if keys else str(folder / KEY)
        raise SealingKeysUnusable(
            f"{where} holds what is no key: each is 32 bytes in url-safe base64. Make one by "
            "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`."
        ) from error


def of_the_house(folder: Path) -> bytes:
    """The house's own key, made when there is none. Whoever is first makes it; others read it.

    A link refuses to replace a file that is there, so that of two processes one loses and reads the other's.
    """
    path = folder / KEY
    if not path.is_file():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".key-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was quicker
        finally:
            os.unlink(temporary)
    return path.read_bytes().strip()
