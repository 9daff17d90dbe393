"""A small server that takes events, for tests of their delivery."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import stripe


class Receiver:
    """Keeps every post. `status` is what it answers; set it to 500 to refuse."""

    def __init__(self) -> None:
        self.status = 200
        self.posts: list[tuple[bytes, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((body, self.headers["Stripe-Signature"]))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *wrong: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def events(self, client: stripe.StripeClient, secret: str) -> list[Any]:
        """Every post as an event, its signature verified by the SDK."""
        return [client.construct_event(body, signature, secret) for body, signature in self.posts]
