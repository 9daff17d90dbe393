"""A model hub over HTTP, as far as huggingface_hub asks for it: what a commit holds, and its files, also in parts."""

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2000  # bytes; above, a file is kept as LFS keeps it


class Hub:
    """Serves folders as repositories, each at one commit. `breaks_off` is how often a file ends half way."""

    def __init__(self) -> None:
        self.repositories: dict[str, tuple[Path, str]] = {}
        self.answers_for = ""
        self.breaks_off: dict[str, int] = {}
        self.spoils: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        for name, (folder, commit) in self.repositories.items():
            if path == f"/api/models/{name}/revision/{commit}":
                self._json(request, self._commit(name, folder, commit))
                return
            start = f"/{name}/resolve/{commit}/"
            if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                self._file(request, path.removeprefix(start), folder / path.removeprefix(start), commit)
                return
        request.send_response(404)
        request.send_header("X-Error-Code", "RepoNotFound")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _commit(self, name: str, folder: Path, commit: str) -> dict[str, Any]:
        siblings = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                told: dict[str, Any] = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data)}
                told["blobId"] = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
                if len(data) > LARGE:
                    told["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                siblings.append(told)
        return {"id": name, "modelId": name, "sha": self.answers_for or commit, "tags": [], "siblings": siblings}

    def _json(self, request: BaseHTTPRequestHandler, value: Any) -> None:
        data = json.dumps(value).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data)

    def _file(self, request: BaseHTTPRequestHandler, name: str, path: Path, commit: str) -> None:
        data = path.read_bytes()
        etag = hashlib.sha256(data).hexdigest()
        if name in self.spoils:
            data = data[:-1] + bytes([data[-1] ^ 1])
        span = request.headers.get("Range", "")
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        if request.command == "GET":
            self.asked.append((name, span))
        request.send_response(206 if span else 200)
        request.send_header("ETag", f'"{etag}"')
        request.send_header("X-Repo-Commit", commit)
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(data) - start))
        if span:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if request.command != "GET":
            return
        if self.breaks_off.get(name, 0) > 0:
            self.breaks_off[name] -= 1
            request.wfile.write(data[start : start + (len(data) - start) // 2])
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        request.wfile.write(data[start:])
