"""One PostgreSQL for the whole run, one migrated template, and a clone of it for whoever commits."""

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.environment import DATA, SCRATCH

TEMPLATE = "vaglio_template"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """The embedded PostgreSQL of this run, without fsync: nothing here must survive a power cut."""
    from local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(DATA / "pg", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: Any, django_db_blocker: Any) -> str:
    """A migrated, granted, empty database with its roles, from which every test's database is cloned."""
    from django.core.management import call_command

    postgres.provision(TEMPLATE)
    with django_db_blocker.unblock():
        _point_at(postgres, TEMPLATE)
        call_command("prepare_database", verbosity=0)
        _close_all()
    return TEMPLATE


@pytest.fixture(scope="session")
def django_db_setup(postgres: Any, template: str, django_db_blocker: Any) -> Iterator[None]:
    """What pytest-django's `db` uses: one clone, each test in a transaction that is rolled back."""
    postgres.clone(template, "vaglio_shared")
    _point_at(postgres, "vaglio_shared")
    yield
    with django_db_blocker.unblock():
        _close_all()


@pytest.fixture
def database_template() -> str:
    """What `fresh_database` is cloned from: an empty house. A module may have one with something in it."""
    return TEMPLATE


@pytest.fixture
def fresh_database(
    postgres: Any, django_db_setup: None, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch, settings: Any,
    database_template: str,
) -> Iterator[str]:  # fmt: skip
    """A database of the test's own that it may commit to, from threads and processes too.

    Subprocesses find it by DATABASE_URL and DATABASE_OWNER_URL.
    """
    name = f"vaglio_{secrets.token_hex(5)}"
    postgres.clone(database_template, name)
    # A chain of its own has a head of its own.
    settings.AUDIT_HEAD_FILE = DATA / f"head-{name}.jsonl"
    with django_db_blocker.unblock():
        _close_all()
        _point_at(postgres, name)
        monkeypatch.setenv("DATABASE_URL", postgres.app_url(name))
        monkeypatch.setenv("DATABASE_OWNER_URL", postgres.owner_url(name))
        yield name
        _close_all()
        _point_at(postgres, "vaglio_shared")
    postgres.drop(name)


@pytest.fixture(scope="module")
def furnished(postgres: Any, template: str, django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """Makes a database for a module to clone: `furnished(make)` gives its name and what `make` returned."""
    made: list[str] = []

    def furnish(make: Callable[[], Any]) -> tuple[str, Any]:
        made.append(f"vaglio_{secrets.token_hex(5)}")
        postgres.clone(template, made[-1])
        with django_db_blocker.unblock():
            _close_all()
            _point_at(postgres, made[-1])
            found = make()
            _close_all()
            _point_at(postgres, "vaglio_shared")
        return made[-1], found

    yield furnish
    for name in made:
        postgres.drop(name)


@pytest.fixture(scope="module")
def platform_at_rest(postgres: Any, template: str, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """A platform of whose processes none was started, on a database of its own that the module's ORM looks at too."""
    from django.conf import settings

    from tests.processes import Platform

    name = f"vaglio_{secrets.token_hex(5)}"
    postgres.clone(template, name)
    folder = tmp_path_factory.mktemp("platform")
    urls = {"DATABASE_URL": postgres.app_url(name), "DATABASE_OWNER_URL": postgres.owner_url(name)}
    with django_db_blocker.unblock():
        _close_all()
        _point_at(postgres, name)
        head = folder / "audit-head.jsonl"
        settings.AUDIT_HEAD_FILE, before = head, settings.AUDIT_HEAD_FILE
        yield Platform(folder, urls, AUDIT_HEAD_FILE=str(head))
        settings.AUDIT_HEAD_FILE = before
        _close_all()
    postgres.drop(name)


@pytest.fixture(scope="module")
def platform(platform_at_rest: Any) -> Iterator[Any]:
    """All processes of Vaglio for one module, with the cast of tests.people.

    `platform.people` holds the cast, `platform.secret` Alice's API key.
    """
    from accounts import keys
    from tests.people import cast

    platform_at_rest.people = cast(credits=100_000)
    _, platform_at_rest.secret = keys.create(platform_at_rest.people.alice, "tests")
    with platform_at_rest as running:
        yield running


@pytest.fixture
def as_owner(fresh_database: str, postgres: Any) -> Iterator[Any]:
    """A psycopg connection of the database's owner, to tamper with what the application cannot."""
    import psycopg

    with psycopg.connect(postgres.owner_url(fresh_database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def as_app(fresh_database: str, postgres: Any) -> Iterator[Any]:
    """A psycopg connection of the application's role, past every line of Python."""
    import psycopg

    with psycopg.connect(postgres.app_url(fresh_database), autocommit=True) as connection:
        yield connection


def _point_at(postgres: Any, name: str) -> None:
    from django.db import connections

    from journal import env

    for alias, url in (("default", postgres.app_url(name)), ("owner", postgres.owner_url(name))):
        os.environ["TEST_URL"] = url
        connections[alias].settings_dict.update(env.database("TEST_URL"))


def _close_all() -> None:
    from django.db import connections

    connections.close_all()


def pytest_unconfigure() -> None:
    SCRATCH.cleanup()
