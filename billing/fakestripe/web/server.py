"""The server: uvicorn on one loopback address, and the thread that posts events."""

import socket
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billing.fakestripe import money, nouns
from billing.fakestripe.core.api import Api
from billing.fakestripe.core.delivery import Postman
from billing.fakestripe.core.faults import Faults
from billing.fakestripe.core.world import World
from billing.fakestripe.money import balance, charges, disputes, intents, methods, refunds
from billing.fakestripe.nouns import (
    changes,
    collection,
    completion,
    coupons,
    customers,
    endpoints,
    invoices,
    portal,
    prices,
    products,
    renewals,
    sessions,
    subscriptions,
)
from billing.fakestripe.web.app import App
from billing.fakestripe.web.pages import pages

# Importing a noun enters its answers and its due things; this tuple says that all of them are wanted.
NOUNS = (
    money,
    nouns,
    balance,
    charges,
    disputes,
    intents,
    methods,
    refunds,
    changes,
    collection,
    completion,
    coupons,
    customers,
    endpoints,
    invoices,
    portal,
    prices,
    products,
    renewals,
    sessions,
    subscriptions,
)
LOOPBACK = "127.0.0.1"


class Protocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it; the application may also break the connection off."""

    def on_headers_complete(self) -> None:
        self.scope["fakestripe.transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()


class Running:
    """Everything that one fake consists of, before and while it is served."""

    def __init__(
        self,
        *,
        folder: Path | None = None,
        frozen_at: int | None = None,
        key: str | None = None,
        listener: socket.socket,
    ) -> None:
        host, port = listener.getsockname()[:2]
        if host != LOOPBACK:
            raise ValueError(f"The offline Stripe listens on {LOOPBACK} only, and this socket is bound to {host}.")
        self.listener = listener
        self.world = World(folder, frozen_at=frozen_at)
        self.world.base_url = f"http://{LOOPBACK}:{port}"
        self.faults = Faults()
        self.postman = Postman(self.world, self.faults)
        self.api = Api(self.world, key)
        app = App(self.api, self.faults, pages(self.world, self.faults, self.postman))
        config = uvicorn.Config(
            app,
            http=Protocol,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
        self.server = uvicorn.Server(config)

    def serve(self) -> None:
        """Answer until `server.should_exit`; then finish the letter in hand and close the file."""
        self.postman.start()
        try:
            self.server.run(sockets=[self.listener])
        finally:
            self.postman.stop()
            with self.world.lock:
                self.world.store.close()


def listener(port: int = 0) -> socket.socket:
    """A socket on the loopback address; port 0 takes a free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((LOOPBACK, port))
    sock.listen(128)
    return sock
