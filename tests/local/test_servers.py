"""The embedded servers: private, apart from each other, and gone with whoever started them."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kombu import Connection

from local.postgres import EmbeddedPostgres
from local.valkey import EmbeddedValkey
from tests.local.processes import runs, wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "pg", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    "forbidden",
    [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER mine BEFORE INSERT ON job EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE job DISABLE TRIGGER ALL",
        "DROP TABLE job",
        "SELECT * FROM job",
        "SET ROLE vaglio_owner",
    ],
)
def test_the_application_role_can_neither_create_nor_own(postgres: EmbeddedPostgres, forbidden: str) -> None:
    postgres.provision("vaglio_roles")
    with psycopg.connect(postgres.owner_url("vaglio_roles"), autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS job (id int)")
    with psycopg.connect(postgres.app_url("vaglio_roles"), autocommit=True) as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(forbidden)
        owned = app.execute("SELECT relname FROM pg_class WHERE relowner = current_user::regrole").fetchall()
        assert owned == []


def test_a_clone_is_as_closed_as_its_template(postgres: EmbeddedPostgres) -> None:
    postgres.provision("vaglio_source")
    with psycopg.connect(postgres.owner_url("vaglio_source"), autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS job (id int)")
        owner.execute("GRANT SELECT ON job TO vaglio_app")
    postgres.clone("vaglio_source", "vaglio_copy")
    with psycopg.connect(postgres.app_url("vaglio_copy"), autocommit=True) as app:
        assert app.execute("SELECT count(*) FROM job").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TEMP TABLE mine (id int)")
        postgres.drop("vaglio_copy")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgres.app_url("vaglio_copy"))


def test_a_role_without_its_password_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.provision("vaglio_roles")
    right = postgres.app_url("vaglio_roles")
    password = (postgres.folder / "vaglio_app.password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(right.replace(password, "guessed"))


def test_passwords_and_sockets_are_for_nobody_else(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    cluster.provision("vaglio")
    broker = EmbeddedValkey(tmp_path / "valkey")
    broker.start()
    for password in cluster.folder.glob("*.password"):
        assert stat.S_IMODE(password.stat().st_mode) == 0o600
    for server in (cluster, broker):
        sockets = Path((server.folder / "socket-folder").read_text())
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    with psycopg.connect(cluster.superuser_url()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    broker.stop()


def test_two_clusters_live_side_by_side(postgres: EmbeddedPostgres, cluster: EmbeddedPostgres) -> None:
    cluster.provision("vaglio_roles")
    postgres.provision("vaglio_roles")
    with psycopg.connect(cluster.owner_url("vaglio_roles"), autocommit=True) as owner:
        owner.execute("CREATE TABLE only_here (id int)")
    with psycopg.connect(postgres.owner_url("vaglio_roles"), autocommit=True) as owner:
        assert owner.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_a_killed_cluster_starts_again_with_what_was_committed(cluster: EmbeddedPostgres) -> None:
    cluster.provision("vaglio")
    address = cluster.owner_url("vaglio")
    with psycopg.connect(address, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept AS SELECT 41 AS job")
    os.kill(cluster.pid or 0, signal.SIGKILL)
    wait_until(lambda: not cluster.is_running, "The end of the killed server")
    cluster.start()
    assert cluster.owner_url("vaglio") == address
    with psycopg.connect(address) as owner:
        assert owner.execute("SELECT job FROM kept").fetchone() == (41,)


def test_the_broker_carries_a_message_for_celery_and_keeps_its_address(tmp_path: Path) -> None:
    broker = EmbeddedValkey(tmp_path / "valkey")
    broker.start()
    address = broker.url
    with Connection(address) as connection, connection.SimpleQueue("draw") as queue:
        queue.put({})
        message = queue.get(timeout=5)
        message.ack()
    broker.stop()
    broker.start()
    assert broker.url == address
    broker.stop()


PARENT = """
import sys, time
from pathlib import Path
from local.postgres import EmbeddedPostgres
from local.valkey import EmbeddedValkey
folder = Path(sys.argv[1])
servers = [EmbeddedPostgres(folder / "pg", durable=False), EmbeddedValkey(folder / "valkey")]
for server in servers:
    server.start()
print(*[server.pid for server in servers], flush=True)
time.sleep(600)
"""


def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.stdout.close()
    assert len(pids) == 2
    assert all(runs(pid) for pid in pids)
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(runs, pids)), "The end of both servers")
    # Whoever comes next takes up the same data and the same socket folders.
    for successor in (EmbeddedPostgres(tmp_path / "pg", durable=False), EmbeddedValkey(tmp_path / "valkey")):
        successor.start()
        successor.stop()


def test_a_socket_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    broker = EmbeddedValkey(tmp_path / "valkey")
    broker.start()
    broker.stop()
    note = broker.folder / "socket-folder"
    taken = Path(note.read_text())
    taken.mkdir(mode=0o755)
    taken.chmod(0o755)
    broker.start()
    try:
        assert Path(note.read_text()) != taken
        with socket.socket(socket.AF_UNIX) as knock, pytest.raises(FileNotFoundError):
            knock.connect(str(taken / "valkey.sock"))
    finally:
        broker.stop()
        taken.rmdir()
