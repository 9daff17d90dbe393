"""People who are signed in by a session of their own."""

from typing import Any

import pytest
from django.test import Client

from tests.people import People, cast


@pytest.fixture
def people(db: None, settings: Any) -> People:
    """The cast. Their passwords are hashed lightly: six slow hashes would take longer than a test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return cast()


@pytest.fixture
def alice(people: People) -> Client:
    client = Client()
    client.force_login(people.alice)
    return client


@pytest.fixture
def carol(people: People) -> Client:
    client = Client()
    client.force_login(people.carol)
    return client
