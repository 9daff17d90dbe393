"""The policies of the house, as they are shipped, and what stands beside the classifiers."""

from pathlib import Path

import pytest

from moderation import policy_files
from moderation.classifiers.persons import DATA_SHA256
from moderation.policy import KNOWN, NAMES, PolicySet
from moderation.provenance.hashes import VERSION
from moderation.signals import Signal

ROOT = Path(__file__).resolve().parent.parent.parent
# What the tables of known pictures say of one that they do not know, and what is said of a prompt that names nobody.
# Picture classifiers alone never say it.
UNKNOWN = [
    *(Signal(name, 0.0, KNOWN, VERSION) for name in ("known", "refused_here")),
    Signal("named", 0.0, NAMES, DATA_SHA256),
]


@pytest.fixture(scope="session")
def house() -> PolicySet:
    return policy_files.load(ROOT / "moderation" / "policies")
