"""Serve the web on a socket that somebody else opened: `python -m local.serve FD`.

The supervisor holds the port from its first second to its last, so that no one takes it between two
starts of the web process, and whoever calls in between waits instead of being refused. `uvicorn --fd`
would do, but takes every socket for a Unix one and so leaves Nagle's delay on.
"""

import socket
import sys

import uvicorn


def main() -> None:
    """Serve until a signal comes; streams that are still open then have three seconds."""
    config = uvicorn.Config(
        "config.asgi:application",
        access_log=False,
        timeout_graceful_shutdown=3,
        log_config=None,
        # Django speaks no lifespan.
        lifespan="off",
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
