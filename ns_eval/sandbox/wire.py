"""Messages between the host and what it forks: one JSON object a packet, file descriptors beside it.

A message of the host that is long (code, tests) travels as a sealed file in memory, so that no write ever waits for the
other side. Standard library only: it runs inside the zygote too.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MOST_BYTES = 65536
_LONG_BYTES = 16384
_MOST_DESCRIPTORS = 8
_SPACE = socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS) + socket.CMSG_SPACE(12)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a channel that keeps packets apart and names the sender's process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def listener(path: str) -> socket.socket:
    """Where one such channel can be taken up by path, from inside a container."""
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    waiting.bind(path)
    Path(path).chmod(0o666)  # whoever is inside is another user
    waiting.listen(1)
    return waiting


def connected(path: str) -> socket.socket:
    """The other end of a `listener`."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(path)
    return channel


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Any: messages are JSON. A long one can be read by `receive_from_host` alone."""
    data = json.dumps(message).encode()
    if len(data) <= _LONG_BYTES:
        _send(channel, data, descriptors)
        return
    whole = file_of(data)
    try:
        _send(channel, b'{"long": true}', [whole, *descriptors])
    finally:
        os.close(whole)


def _send(channel: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    channel.sendmsg([data], rights)


def receive_from_host(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """(message, descriptors). Not for the host: a file that a session names could be anything.

    Raises:
        EOFError: as `receive`.
    """
    message, descriptors, _ = receive(channel)
    if message.get("long"):
        with os.fdopen(descriptors.pop(0), "rb") as file:
            message = json.load(file)
    return message, descriptors


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int], int]:
    """(message, descriptors, process id of the sender as this process sees it, or 0).

    Raises:
        EOFError: the other side is gone, or sends what is no message.
    """
    try:
        data, ancillary, _, _ = channel.recvmsg(_MOST_BYTES, _SPACE)
    except ConnectionError as error:
        raise EOFError(str(error)) from error
    descriptors: list[int] = []
    sender = 0
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(value[: len(value) - len(value) % numbers.itemsize])
            descriptors += numbers
        elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            sender = struct.unpack("3i", value)[0]
    try:
        message = json.loads(data) if data else None
    except ValueError:
        message = None
    if not isinstance(message, dict):
        close(descriptors)
        raise EOFError("the other side closed the channel" if not data else "not a message")
    return message, descriptors, sender


def close(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        with contextlib.suppress(OSError):
            os.close(number)


def file_of(content: bytes) -> int:
    """A descriptor of a file in memory that holds `content`, at its start, and that nobody can change any more."""
    import fcntl

    handle = os.memfd_create("ns-eval", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
    os.lseek(handle, 0, os.SEEK_SET)
    fcntl.fcntl(handle, 1033, 1 | 2 | 4 | 8)  # F_ADD_SEALS: seal, shrink, grow, write
    return handle
