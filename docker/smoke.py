"""Build the three images, start every program from them, and have one picture drawn.

`docker/smoke.sh web` builds and starts the web, relay and sweeper alone.

PostgreSQL and Valkey are the embedded ones, so that the images are all that is pulled or built. With
buildah alone no engine is needed, and where no registry can be reached the base image is made by debootstrap.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from local.postgres import EmbeddedPostgres
from local.valkey import EmbeddedValkey

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "docker" / "Dockerfile"
IMAGES = ("web", "screening", "gpu")
WORKERS = {"draw": "gpu", "screen": "screening"}
WEB_LIMIT_MB = 400
CERTIFICATES = "/etc/ssl/certs"

os.environ["BUILDAH_ISOLATION"] = "chroot"


def sh(*command: str | Path, quiet: bool = False) -> str:
    """Run a command to its end and return what it said; raise CalledProcessError if it failed."""
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=errors).stdout.strip()


def succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def find_tool() -> str:
    """Return the container tool that works here."""
    for tool in ("docker", "podman"):
        if shutil.which(tool) and succeeds(tool, "info"):
            return tool
    if shutil.which("buildah") and os.geteuid() == 0:
        return "buildah"
    sys.exit("No container tool works here: install docker or podman, or buildah and be root.")


def ensure_base() -> None:
    """See to it that buildah has the image that the Dockerfile starts from."""
    found = re.search(r"^FROM (python:\S+)", RECIPE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    base = f"docker.io/library/{found[1]}"
    if succeeds("buildah", "inspect", "--type", "image", base) or succeeds("buildah", "pull", "--quiet", base):
        return
    if not shutil.which("debootstrap"):
        sys.exit(f"{base} cannot be pulled, and debootstrap is not there to make it.")
    print(f"No registry: making {base} from Debian's packages ...")
    sources = "".join(
        path.read_text() for path in (*Path("/etc/apt").glob("*.list"), *Path("/etc/apt").glob("*.d/*.sources"))
    )
    mirror = re.findall(r"^(?:URIs:|deb) +(https?://\S+)", sources, re.MULTILINE)[:1]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        parts = "python3,python3-venv,ca-certificates"
        suite = found[1].rpartition("-")[2]
        sh("debootstrap", "--variant=minbase", f"--include={parts}", suite, root, *mirror)
        (root / "usr/bin/python").symlink_to("python3")
        # What the official slim image leaves out too.
        for spare in ("var/lib/apt/lists", "var/cache", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / spare)
        container = sh("buildah", "from", "scratch")
        sh("buildah", "copy", "--quiet", container, root, "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        sh("buildah", "config", "--env", path, container)
        sh("buildah", "commit", "--quiet", "--rm", container, base)


def build(tool: str, image: str) -> None:
    """Build one image. The host's certificates go along, for networks that have some of their own."""
    # Without its cache of layers: buildah does not find a stage to lend files from when that stage was cached.
    verb = ("buildah", "bud", "--layers=false", "--format", "docker") if tool == "buildah" else (tool, "build")
    options: list[str | Path] = ["--file", RECIPE, "--target", image, "--tag", f"vaglio-{image}"]
    options += ["--build-arg", f"TORCH_BACKEND={os.environ.get('TORCH_BACKEND', '')}"]
    if tool == "buildah":
        options += ["--ignorefile", f"{RECIPE}.dockerignore", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    began = time.monotonic()
    sh(*verb, "--quiet", *options, ROOT)
    print(f"vaglio-{image}: built in {time.monotonic() - began:.0f} s, {megabytes(tool, image)} MB")


def megabytes(tool: str, image: str) -> int:
    """How large the image is, unpacked."""
    if tool != "buildah":
        return int(sh(tool, "image", "inspect", "--format", "{{.Size}}", f"vaglio-{image}")) // 1_000_000
    container = sh("buildah", "from", f"localhost/vaglio-{image}")
    try:
        tree = sh("buildah", "mount", container)
        return int(sh("du", "--summarize", "--block-size=1MB", tree).split()[0])
    finally:
        sh("buildah", "rm", container)


class Containers:
    """What runs from the images, ended and removed at the end."""

    def __init__(self, tool: str, *, user: int, mounts: Sequence[tuple[Path, str]], env: dict[str, str]) -> None:
        self.tool = tool
        self.options = ["--user", f"{user}:{user}"]
        for here, there in mounts:
            self.options += ["--volume", f"{here}:{there}"]
        for name, value in env.items():
            self.options += ["--env", f"{name}={value}"]
        self.running: list[subprocess.Popen[str]] = []
        self.made: list[str] = []

    def command(self, image: str, words: Sequence[str], more: Sequence[str] = ()) -> list[str]:
        """The command that runs `words` in a fresh container, which shares the host's network."""
        if self.tool != "buildah":
            name = f"vaglio-smoke-{secrets.token_hex(4)}"
            self.made.append(name)
            options = ["--rm", "--network", "host", "--name", name, *self.options, *more]
            return [self.tool, "run", *options, f"vaglio-{image}", *words]
        container = sh("buildah", "from", f"localhost/vaglio-{image}")
        self.made.append(container)
        return ["buildah", "run", "--isolation", "chroot", *self.options, *more, container, "--", *words]

    def run(self, image: str, *words: str, more: Sequence[str] = ()) -> str:
        """Run to the end, and return what was said."""
        return sh(*self.command(image, words, more))

    def start(self, image: str, *words: str) -> None:
        """Start and leave running."""
        self.running.append(subprocess.Popen(self.command(image, words), text=True, start_new_session=True))

    def own_command(self, image: str) -> list[str]:
        """The command that the image itself names."""
        if self.tool == "buildah":
            told = json.loads(sh("buildah", "inspect", "--type", "image", f"localhost/vaglio-{image}"))
            return list(told["OCIv1"]["config"]["Cmd"])
        told = json.loads(sh(self.tool, "image", "inspect", f"vaglio-{image}"))
        return list(told[0]["Config"]["Cmd"])

    def stop(self) -> None:
        """End and remove everything."""
        for name in self.made if self.tool != "buildah" else ():
            succeeds(self.tool, "kill", name)
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.made if self.tool == "buildah" else ():
            succeeds("buildah", "rm", name)


def ask(address: str, body: dict[str, str] | None = None, *, key: str = "") -> tuple[int, str]:
    """GET, or POST `body` as JSON; the status, 0 when nobody answers, and the text."""
    request = urllib.request.Request(address, data=json.dumps(body).encode() if body else None)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_for(address: str, seconds: float, *, but: Sequence[str] = ()) -> None:
    """Wait until `address` answers 200, or says that nothing is missing `but` what was not started."""
    deadline = time.monotonic() + seconds
    while (answer := ask(address))[0] != 200:
        if but and answer[0] == 503 and json.loads(answer[1])["missing"] == list(but):
            return
        if time.monotonic() > deadline:
            sys.exit(f"{address} was not ready after {seconds:.0f} s: {answer[1]}")
        time.sleep(0.5)


def smoke(tool: str, port: int, images: Sequence[str]) -> None:
    """Start every program from its image, and have a picture drawn if all images are there."""
    with tempfile.TemporaryDirectory(prefix="vaglio-smoke-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        postgres, broker = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
        postgres.start()
        broker.start()
        postgres.provision("vaglio")
        database, queue = (Path((server.folder / "socket-folder").read_text()) for server in (postgres, broker))
        # Whom PostgreSQL runs as, and that is never root.
        user = database.stat().st_uid
        data = folder / "data"
        data.mkdir(mode=0o700)
        for path in (data, queue, queue / "valkey.sock"):
            os.chown(path, user, user if os.geteuid() == 0 else -1)
        address = f"http://127.0.0.1:{port}"
        env = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": postgres.app_url("vaglio"),
            "BROKER_URL": broker.url,
            "BASE_URL": address,
            "ALLOWED_HOSTS": "127.0.0.1",
            # Not /data: buildah mounts nothing over what an image declares to be a volume.
            "VAGLIO_DATA": "/shared",
        }
        mounts = [(database, str(database)), (queue, str(queue)), (data, "/shared")]
        containers = Containers(tool, user=user, mounts=mounts, env=env)
        try:
            owner = ["--env", f"DATABASE_OWNER_URL={postgres.owner_url('vaglio')}"]
            print(containers.run("web", "python", "manage.py", "prepare_database", "--verbosity", "0", more=owner))
            seeded = json.loads(containers.run("web", "python", "manage.py", "seed_demo"))
            serve = [str(port) if word == "8000" else word for word in containers.own_command("web")]
            containers.start("web", *serve)
            wait_for(f"{address}/health/live", 30)
            print("The web answers.")
            containers.start("web", "python", "manage.py", "relay")
            containers.start("web", "python", "manage.py", "sweep")
            if "screening" in images:
                containers.start("screening", *containers.own_command("screening"))
            if "gpu" in images:
                containers.start("gpu", *containers.own_command("gpu"))
            absent = [kind for kind, image in WORKERS.items() if image not in images]
            wait_for(f"{address}/health/ready", 300, but=absent)
            print(f"Every program is at work{', but for ' + ' and '.join(absent) if absent else ''}.")
            if absent:
                return
            picture = {"prompt": "a red apple on blue"}
            status, text = ask(f"{address}/v1/images/generations", picture, key=seeded["api_key"])
            print(f"A picture was asked for: {status}, {text[:160]}")
            if status not in {200, 202, 400, 409, 422}:
                sys.exit("That is no answer of a gate.")
        finally:
            containers.stop()
            broker.stop()
            postgres.stop()


def main() -> None:
    """Build, measure, start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", default=IMAGES, help="build and start only these")
    parser.add_argument("--port", type=int, default=8900)
    options = parser.parse_args()
    tool = find_tool()
    if tool == "buildah":
        ensure_base()
    for image in options.images:
        build(tool, image)
    if "web" in options.images:
        if (size := megabytes(tool, "web")) >= WEB_LIMIT_MB:
            sys.exit(f"vaglio-web has {size} MB; it must stay below {WEB_LIMIT_MB}.")
        command = "import importlib.util as u; print(*filter(u.find_spec, ['torch', 'onnxruntime']))"
        container = Containers(tool, user=10001, mounts=[], env={})
        heavy = container.run("web", "python", "-c", command)
        container.stop()
        if heavy:
            sys.exit(f"vaglio-web carries {heavy}.")
        smoke(tool, options.port, options.images)


if __name__ == "__main__":
    main()
