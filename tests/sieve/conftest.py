"""The policies of the house, as they are shipped."""

from pathlib import Path

import pytest

from moderation.policy import PolicySet

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def house() -> PolicySet:
    return PolicySet.load(ROOT / "moderation" / "policies")
