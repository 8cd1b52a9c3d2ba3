"""Ports of this machine: a free one, and whether a given one is."""

from __future__ import annotations

import socket

from ns_eval.errors import ServerError


def local_url(host: str, port: int) -> str:
    """The base URL of a server of ours that listens on `host`."""
    return f"http://{_reachable(host)}:{port}/v1"


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probing:
        probing.bind((_reachable(host), 0))
        return int(probing.getsockname()[1])


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
