"""Ports of this machine: a free one, and whether a given one is."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path

from ns_eval.errors import ServerError

_LOWEST_PORT = 15_000


def local_url(host: str, port: int) -> str:
    """The base URL of a server of ours that listens on `host`."""
    return f"http://{_reachable(host)}:{port}/v1"


def free_port(host: str) -> int:
    """A port that nobody listens on now, and that no outgoing connection is given before the server has it."""
    for port in secrets.SystemRandom().sample(range(_LOWEST_PORT, _first_given_port()), 100):
        with contextlib.suppress(OSError), socket.socket() as probing:
            # A process that another thread forks just now keeps this socket for a moment: no reason to call the port taken.
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probing.bind((_reachable(host), port))
            return port
    raise ServerError(
        f"none of a hundred ports from {_LOWEST_PORT} is free on this machine", hint="++server.port=N names one"
    )


def _first_given_port() -> int:
    """Where the ports begin that Linux gives to outgoing connections by itself; 32768 as it is shipped."""
    try:
        given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    except OSError:
        return 32768
    return max(int(given.split()[0]), _LOWEST_PORT + 1000)


def require_free(host: str, port: int) -> None:
    """ServerError where a port is taken: SGLang finds out only after it has loaded the model."""
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"port {port} is taken on this machine ({error.strerror})",
                hint=f"`ss -ltnp 'sport = :{port}'` shows by whom; leave ++server.port out to get a free one",
            ) from error


def _reachable(host: str) -> str:
    """Where to ask a server that listens on all interfaces."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
