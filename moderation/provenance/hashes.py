"""What a perceptual hash is, for whoever compares hashes and makes none: no numpy here. They are made in pdq.py."""

from dataclasses import dataclass

BITS = 256
# Told with every score that rests on a hash. It changes when the code below gives another hash for the same picture.
VERSION = "pdq-1."
# From this distance down two hashes are of one picture (the value that the hash's makers advise).
NEAR = 31
# Of 100: below it there is too little in a picture to tell it from others.
LEAST_QUALITY = 50


@dataclass(frozen=True)
class Pdq:
    """A hash as 64 hexadecimal digits, as lists of such hashes write it; and how much there is to tell, 0 to 100."""

    digits: str
    quality: int

    def __sub__(self, other: "Pdq") -> int:
        """In how many of 256 bits two hashes differ."""
        return (int(self.digits, 16) ^ int(other.digits, 16)).bit_count()
