"""The whole of Vaglio on one machine: `python -m local`, or rather `make demo`."""

import argparse
import errno
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

from local import preflight, tether, tethered
from local.postgres import EmbeddedPostgres, PostgresDidNotStart
from local.preflight import Unable
from local.supervisor import Program, Supervisor
from local.valkey import EmbeddedValkey, ValkeyDidNotStart
from local.voices import Voices

CHECKOUT = Path(__file__).resolve().parents[2]
DATABASE = "vaglio"

TEST_CARD = "4242 4242 4242 4242"

# How long the programs may take to end what they do, once asked.
PATIENCE = 20.0


class Asked(Exception):
    """Somebody asked the demo to stop."""


def main(arguments: Sequence[str]) -> int:
    """Run the demo until somebody stops it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Run all of Vaglio on this machine.")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / ".demo", help="where everything is kept")
    parser.add_argument("--tied", action="store_true", help="stop when the parent ends (for make)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ask)
    if options.tied:
        tether.die_with_parent(signal.SIGTERM, os.getppid())
    try:
        preflight.check_python()
        Demo(options.folder.absolute()).run()
    except Asked:
        return 0
    except BrokenPipeError:
        # Nobody reads what we say, as after `make demo | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Unable, PostgresDidNotStart, ValkeyDidNotStart) as error:
        print(_sentence(error), file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(_sentence(error), file=sys.stderr)
        return 1
    return 0


class Demo:
    """One start of the demo, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.voices = Voices()
        self.supervisor = Supervisor(CHECKOUT, self.voices)
        self.began = time.monotonic()
        # The socket of the offline Stripe, unless the environment names a real one.
        self.till: socket.socket | None = None

    def run(self) -> None:
        """Start everything, tell how to get in, and look after it until Asked.

        1. Take the folder and the port, so that nobody else does.
        2. Start the servers, unless the environment names others.
        3. Migrate and seed.
        4. Start the programs, wait until a picture could be drawn, and say so.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = not (self.folder / "postgres" / "data").exists()
        preflight.check_space(self.folder)
        lock = preflight.lock(self.folder)
        listener = preflight.open_port(os.environ.get("VAGLIO_PORT"))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        lock.write(f"process {os.getpid()}, {address}")
        lock.flush()
        if first:
            self.say("This is the first start here: it takes about a minute, later ones a few seconds.")
        try:
            env = self.environment(address)
            self.prepare(env)
            told = self.seed(env)
            self.forget_the_dead(env)
            listening = listener.fileno()
            if self.till is not None:
                self.supervisor.keep(offline_stripe(env, self.till.fileno(), self.folder / "stripe"))
            for program in programs(env, listening):
                self.supervisor.keep(program)
            self.await_readiness(address)
            self.tell(address, told)
            while True:
                self.supervisor.turn()
        finally:
            self.stop()

    def say(self, line: str) -> None:
        self.voices.say("vaglio", line)

    def environment(self, address: str) -> dict[str, str]:
        """Start the servers that the environment does not name, and return what the programs are to know."""
        data = Path(os.environ.get("VAGLIO_DATA", self.folder / data_name())).absolute()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = {
            **os.environ,
            **self.databases(),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self.secret("secret-key"),
            **self.stripe(),
            "VAGLIO_DATA": str(data),
            "BASE_URL": os.environ.get("BASE_URL", address),
            "PYTHONUNBUFFERED": "1",
            # Weights are local folders, and a progress bar in a log is a riddle.
            "HF_HUB_OFFLINE": "1",
            "TQDM_DISABLE": "1",
            # Celery warns root at each start; a demo in a container often is root.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        if "BROKER_URL" not in env:
            self.say("Starting Valkey ...")
            broker = EmbeddedValkey(self.folder / "valkey")
            self.supervisor.keep_server("Valkey", broker)
            env["BROKER_URL"] = broker.url
        return env

    def databases(self) -> dict[str, str]:
        """The addresses for the application's role and the owner's."""
        given = {name: os.environ[name] for name in ("DATABASE_URL", "DATABASE_OWNER_URL") if name in os.environ}
        if len(given) == 1:
            raise Unable(
                "DATABASE_URL (the application's role) and DATABASE_OWNER_URL (the role that migrates) "
                f"belong together, and only {next(iter(given))} is set."
            )
        if given:
            return given
        self.say("Starting PostgreSQL ...")
        postgres = EmbeddedPostgres(self.folder / "postgres")
        self.supervisor.keep_server("PostgreSQL", postgres)
        postgres.provision(DATABASE)
        return {
            "DATABASE_URL": postgres.app_url(DATABASE),
            "DATABASE_OWNER_URL": postgres.owner_url(DATABASE),
        }

    def stripe(self) -> dict[str, str]:
        """Where payments are made: at the offline Stripe, on a port that it keeps, unless a key is given."""
        if os.environ.get("STRIPE_SECRET_KEY") or os.environ.get("STRIPE_SECRET_KEY_FILE"):
            return {}
        kept = self.folder / "stripe-port"
        self.till = preflight.open_port_again(kept.read_text() if kept.exists() else "")
        port = self.till.getsockname()[1]
        kept.write_text(str(port))
        url = f"http://127.0.0.1:{port}"
        return {
            "STRIPE_API_BASE": url,
            "STRIPE_PAGES": url,
            "STRIPE_SECRET_KEY": f"sk_test_{self.secret('stripe-key')}",
            "STRIPE_WEBHOOK_SECRET": f"whsec_{self.secret('stripe-webhook')}",
        }

    def secret(self, name: str) -> str:
        """Read a secret of this demo's, making it on first use: what signs sessions, what Stripe is asked with."""
        path = self.folder / name
        if not path.exists():
            half = self.folder / f"{name}.new"
            half.unlink(missing_ok=True)
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(50))
            half.rename(path)
        return path.read_text(encoding="ascii")

    def prepare(self, env: dict[str, str]) -> None:
        """Bring the tables up to date."""
        self.say("Preparing the database ...")
        if self.supervisor.run_once("vaglio", [sys.executable, "manage.py", "prepare_database"], env):
            raise Unable("The database could not be prepared; the lines above say why.")

    def seed(self, env: dict[str, str]) -> dict[str, Any]:
        """Fill in the demo's people, and return their accounts and an API key."""
        self.say("Seeding the demo's accounts ...")
        process = tethered.start(
            [sys.executable, "manage.py", "seed_demo"],
            on_death=signal.SIGKILL,
            cwd=CHECKOUT,
            env=env,
            output=subprocess.PIPE,
            with_errors=False,
        )
        said, _ = process.communicate()
        try:
            told: dict[str, Any] = json.loads(said)
        except ValueError:
            told = {}
        if process.returncode or not told:
            raise Unable(f"The demo's accounts could not be made: {said.decode('utf-8', 'replace').strip()}")
        return told

    def forget_the_dead(self, env: dict[str, str]) -> None:
        """Strike out who was at work before: their last signs of life, still fresh, would make us ready too early."""
        with psycopg.connect(env["DATABASE_URL"]) as connection:
            if "DATABASE_URL" not in os.environ:
                connection.execute("DELETE FROM journal_processbeat")
                return
            # Others may be at work on this database.
            names = [name for (name,) in connection.execute("SELECT name FROM journal_processbeat")]
            places = {name: name.partition("@")[2].rpartition(":") for name in names}
            dead = [name for name, (host, _, pid) in places.items() if host == socket.gethostname() and _is_over(pid)]
            connection.execute("DELETE FROM journal_processbeat WHERE name = ANY(%s)", [dead])

    def await_readiness(self, address: str) -> None:
        """Wait until a picture that is asked for would be drawn, naming what is missing now and then."""
        self.say("Starting the programs ...")
        host = address.removeprefix("http://")
        notice = time.monotonic() + 20
        while missing := _missing(host):
            if time.monotonic() > notice:
                self.say(f"Still waiting for: {', '.join(missing)}.")
                notice = time.monotonic() + 20
            again = time.monotonic() + 0.5
            while time.monotonic() < again:
                self.supervisor.turn()

    def tell(self, address: str, told: dict[str, Any]) -> None:
        """Say how to get in."""
        accounts: list[dict[str, str]] = told["accounts"]
        wide = max(len(account["role"]) for account in accounts)
        wider = max(len(account["email"]) for account in accounts)
        body = json.dumps({"prompt": "a red apple on blue"})
        lines = [
            "",
            f"Vaglio is ready after {time.monotonic() - self.began:.0f} s: {address}",
            "",
            *(f"  {one['role']:<{wide}}  {one['email']:<{wider}}  {one['password']}" for one in accounts),
            "",
            *([f"  Plans are paid at an offline Stripe: any date, any CVC, card {TEST_CARD}", ""] if self.till else []),
            f"  API key  {told['api_key']}",
            "",
            f"  curl {address}/v1/images/generations -H 'Authorization: Bearer {told['api_key']}' "
            f"-H 'Content-Type: application/json' -d '{body}'",
            "",
            "Ctrl-C stops it; what was made stays in " + str(self.folder),
            "",
        ]
        for line in lines:
            self.say(line)

    def stop(self) -> None:
        """End everything, in order, patiently; at once on a second request."""
        begun = time.monotonic()

        def hurry(number: int, frame: FrameType | None) -> None:
            # make and the terminal may both pass on one and the same Ctrl-C.
            if time.monotonic() - begun > 1:
                self.supervisor.hurry = True

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, hurry)
        try:
            if self.supervisor.has_programs:
                self.say("Stopping; what is being drawn is finished first. Again to stop at once.")
        except OSError:
            self.voices.hush()
        self.supervisor.stop(patience=PATIENCE)


def programs(env: dict[str, str], listening: int) -> list[Program]:
    """The programs that make up Vaglio, with `listening` the web's open socket."""
    python = sys.executable
    celery = [python, "-m", "celery", "--quiet", "-A", "config", "worker", "--loglevel", "INFO"]
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [
        Program("web", [python, "-m", "local.serve", str(listening)], env, pass_fds=[listening]),
        Program("relay", [python, "manage.py", "relay"], env),
        Program("sweep", [python, "manage.py", "sweep"], env),
        Program("till", [python, "manage.py", "till"], env),
        Program("draw", [*celery, *alone, "-n", "draw@%h", "-Q", "draw", "-P", "prefork", "-c", "1"], env),
        Program("screen", [*celery, *alone, "-n", "screen@%h", "-Q", "screen", "-P", "solo"], env),
    ]


def offline_stripe(env: dict[str, str], listening: int, folder: Path) -> Program:
    """A Stripe of the demo's own, with `listening` its open socket. It tells the web what happened there."""
    command = [sys.executable, "-m", "billing.fakestripe", "--folder", str(folder), "--fd", str(listening)]
    hook = ["--webhook", f"{env['BASE_URL']}/stripe/events/", "--webhook-secret", env["STRIPE_WEBHOOK_SECRET"]]
    return Program("stripe", [*command, *hook, "--key", env["STRIPE_SECRET_KEY"]], env, pass_fds=[listening])


def data_name() -> str:
    """The folder of the files: one for each database, since their rows and the audit's heads belong together."""
    if "DATABASE_URL" not in os.environ:
        return "data"
    parts = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_URL"])
    named = "|".join(str(parts.get(part, "")) for part in ("host", "port", "dbname"))
    return f"data-{sha256(named.encode()).hexdigest()[:8]}"


def _is_over(pid: str) -> bool:
    """Whether no process of this machine has that number."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return False


def _missing(host: str) -> list[str]:
    """What is missing before the demo is ready: nothing, when it is."""
    connection = http.client.HTTPConnection(host, timeout=1)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        if answer.status == 200:
            return []
        missing: list[str] = json.loads(answer.read())["missing"]
        return missing
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ["web"]
    finally:
        connection.close()


def _ask(number: int, frame: FrameType | None) -> None:
    raise Asked


def _sentence(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) or "No space left on device" in text:
        return "The disk is full: free some space and start again. Nothing that was finished is lost."
    return text
