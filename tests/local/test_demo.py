"""The supervisor and what it says when it cannot start."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from journal.models import ProcessBeat
from local import preflight
from local.demo import Demo, data_name
from local.preflight import Unable
from local.supervisor import Program, Supervisor
from local.voices import Voices
from tests.local.processes import runs, wait_until

LIVES = "import os, time; print('here', os.getpid(), flush=True); time.sleep(600)"


def start_demo(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local` where it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "local", "--folder", folder],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=30,
    )


def only_sentence(answer: subprocess.CompletedProcess[str]) -> str:
    """What a demo that refused to start said: one line, and no traceback."""
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    return answer.stderr


def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = only_sentence(start_demo(tmp_path, VAGLIO_PORT=port))
    assert f"Port {port} is in use" in said


def test_a_port_that_is_no_number_is_told_in_one_sentence(tmp_path: Path) -> None:
    assert "VAGLIO_PORT must be a port number" in only_sentence(start_demo(tmp_path, VAGLIO_PORT="http"))


def test_a_second_demo_of_the_same_checkout_is_told_where_the_first_is(tmp_path: Path) -> None:
    with preflight.lock(tmp_path) as first:
        first.write("process 41, http://127.0.0.1:8000")
        first.flush()
        said = only_sentence(start_demo(tmp_path))
    assert "runs already (process 41, http://127.0.0.1:8000)" in said


def test_one_database_address_without_the_other_is_told_in_one_sentence(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    answer = subprocess.run(
        [sys.executable, "-m", "local", "--folder", tmp_path],
        env={**env, "DATABASE_URL": "postgresql://vaglio_app@/vaglio"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert answer.returncode == 1
    assert "only DATABASE_URL is set" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LEAST_FREE", 1 << 62)
    with pytest.raises(Unable, match="of free space"):
        preflight.check_space(tmp_path)


def test_a_python_too_old_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    with pytest.raises(Unable, match=r"needs Python 3\.11"):
        preflight.check_python()


def test_two_demos_get_two_ports() -> None:
    with preflight.open_port(None) as one, preflight.open_port(None) as other:
        assert one.getsockname() != other.getsockname()


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path, Voices())


def test_a_program_that_ends_is_started_again(supervisor: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    program = Program("draw", [sys.executable, "-c", LIVES], dict(os.environ))
    supervisor.keep(program)
    first = program.process
    assert first is not None
    first.kill()

    def another() -> bool:
        supervisor.turn()
        return program.process is not None and program.process is not first

    wait_until(another, "The second start")
    supervisor.stop(patience=5)
    said = capfd.readouterr().out
    assert "draw was ended by SIGKILL; starting it again in 0.5 s." in said


def test_stopping_ends_a_stubborn_program_and_what_it_started(supervisor: Supervisor, tmp_path: Path) -> None:
    stubborn = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "half = open('pids.new', 'w'); half.write(f'{os.getpid()} {child.pid}'); half.close();"
        "os.rename('pids.new', 'pids'); time.sleep(600)"
    )
    supervisor.keep(Program("screen", [sys.executable, "-c", stubborn], dict(os.environ)))
    wait_until((tmp_path / "pids").exists, "The start")
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    supervisor.stop(patience=0.2)
    wait_until(lambda: not any(map(runs, pids)), "The end of both")


PARENT = """
import sys
from pathlib import Path
from local.supervisor import Program, Supervisor
from local.voices import Voices
import os
supervisor = Supervisor(Path(sys.argv[1]), Voices())
celery = [sys.executable, "-m", "celery", "--quiet", "-b", "memory://", "worker", "-P", "prefork", "-c", "1"]
supervisor.keep(Program("draw", celery, {**os.environ, "PYTHONUNBUFFERED": "1"}))
supervisor.keep(Program("web", [sys.executable, "-c", sys.argv[2]], dict(os.environ)))
while True:
    supervisor.turn()
"""


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def test_no_program_outlives_a_killed_supervisor_not_even_a_child_of_celery(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path, LIVES],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    # Celery, its child, and the other program.
    wait_until(lambda: len(descendants(parent.pid)) >= 3, "The start of celery's child", 20)
    below = descendants(parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not any(map(runs, below)), "The end of all of them")


def test_on_a_database_of_others_only_our_own_dead_are_forgotten(fresh_database: str, tmp_path: Path) -> None:
    """Their last signs of life would make the demo ready before anything can draw."""
    over = subprocess.Popen([sys.executable, "-c", ""])
    over.wait()
    here = socket.gethostname()
    ProcessBeat.beat(f"draw@{here}:{over.pid}", "draw")
    alive = {f"draw@{here}:{os.getpid()}", f"draw@another-host:{over.pid}"}
    for name in alive:
        ProcessBeat.beat(name, "draw")
    Demo(tmp_path).forget_the_dead({"DATABASE_URL": os.environ["DATABASE_URL"]})
    assert set(ProcessBeat.objects.values_list("name", flat=True)) == alive


def test_each_database_has_a_folder_of_files_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the audit's heads of one would be held against another."""
    names = set()
    for address in ("", "postgresql://app:old@db/one", "postgresql://app:new@db/one", "postgresql://app@db/two"):
        if address:
            monkeypatch.setenv("DATABASE_URL", address)
        else:
            monkeypatch.delenv("DATABASE_URL", raising=False)
        names.add(data_name())
    assert len(names) == 3
