"""The policies of the house, as they are shipped, and what stands beside the classifiers."""

from pathlib import Path

import pytest

from moderation.policy import KNOWN, PolicySet
from moderation.provenance.hashes import VERSION
from moderation.signals import Signal

ROOT = Path(__file__).resolve().parent.parent.parent
# What the tables of known pictures say of one that they do not know. Classifiers alone never say it.
UNKNOWN = [Signal(name, 0.0, KNOWN, VERSION) for name in ("known", "refused_here")]


@pytest.fixture(scope="session")
def house() -> PolicySet:
    return PolicySet.load(ROOT / "moderation" / "policies")
