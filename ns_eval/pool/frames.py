"""Messages on a stream: a length of four bytes, then the message."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

_LENGTH = struct.Struct("!I")


def frame(message: bytes) -> bytes:
    """The message with its length before it."""
    return _LENGTH.pack(len(message)) + message


class Frames:
    """Takes pieces of a stream as they come, gives whole messages."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes."""
        self._held += data
        start = 0
        while len(self._held) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held, start)
            end = start + _LENGTH.size + length
            if len(self._held) < end:
                break
            yield bytes(memoryview(self._held)[start + _LENGTH.size : end])
            start = end
        del self._held[:start]


class Channel:
    """One end of a socket that never blocks: what cannot be sent yet waits in `unsent`."""

    __slots__ = ("_frames", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.unsent = bytearray()
        self._frames = Frames()

    def send(self, framed: bytes) -> None:
        self.unsent += framed
        self.flush()

    def flush(self) -> None:
        """Sends what the other end has room for; that it is gone shows when it is read."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionError):
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]

    def receive(self) -> list[bytes] | None:
        """Whole messages that are there; None once the other end is closed and all of its messages have been read."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        return list(self._frames.feed(data)) if data else None
