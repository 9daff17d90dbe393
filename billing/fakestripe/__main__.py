"""Run the offline Stripe as a program: `python -m billing.fakestripe --folder F --port 12111`."""

import argparse
import socket
import sys
from pathlib import Path

from billing.fakestripe.nouns import endpoints
from billing.fakestripe.web.server import LOOPBACK, Running, listener


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m billing.fakestripe", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where everything is kept; without it only in memory")
    parser.add_argument("--host", default=LOOPBACK, help="127.0.0.1; any other address is refused")
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument("--fd", type=int, help="an inherited socket that listens already, instead of a port")
    parser.add_argument("--key", help="the only API key that is let in; else any sk_test_ or rk_test_ key")
    parser.add_argument("--webhook", action="append", default=[], metavar="URL", help="post events there")
    parser.add_argument("--webhook-secret", default="whsec_offline", metavar="SECRET", help="and sign them with this")
    parser.add_argument("--frozen-at", type=int, metavar="UNIX", help="let time stand still from this moment")
    given = parser.parse_args(arguments)
    if given.host != LOOPBACK:
        parser.error(f"the offline Stripe listens on {LOOPBACK} only")
    sock = socket.socket(fileno=given.fd) if given.fd is not None else listener(given.port)
    try:
        running = Running(folder=given.folder, frozen_at=given.frozen_at, key=given.key, listener=sock)
    except ValueError as wrong:
        parser.error(str(wrong))
    for url in given.webhook:
        endpoints.enter(running.world, url, secret=given.webhook_secret)
    running.world.flush()
    print(f"Offline Stripe on {running.world.base_url}", file=sys.stderr, flush=True)
    running.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
