"""Collects a pipe's output up to a limit, however much is written into it."""

from __future__ import annotations

import asyncio
import os

from ns_eval.sandbox.execution import CUT

_CHUNK = 1 << 16
# Past this a program only writes: reading on would cost the event loop more than the program is worth.
_FLOOD_BYTES = 64 << 20


class Capture:
    """`end` is the side to hand to the writer; `close` drains what is there and gives the text.

    A pipe holds 64 kB and then its writer waits: what may write more than that is to be followed.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kept = bytearray()
        self.seen_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._source, self.end = os.pipe()
        os.set_blocking(self._source, False)
        self._is_followed = False

    @property
    def flooded(self) -> bool:
        return self.seen_bytes > _FLOOD_BYTES

    @property
    def truncated(self) -> bool:
        return self.seen_bytes > self._limit

    def follow(self) -> None:
        """Reads what comes from now on, as it comes."""
        if not self._is_followed and self._source >= 0:
            self._is_followed = True
            self._loop.add_reader(self._source, self._read)

    def hand_over(self) -> None:
        """The writer holds its own copy now."""
        os.close(self.end)
        self.end = -1

    def close(self) -> str:
        while self._source >= 0 and not self.flooded and self._read():
            pass
        self._stop()
        if self.end >= 0:
            self.hand_over()
        text = self._kept.decode("utf-8", "replace")
        return text + CUT if self.truncated else text

    def _read(self) -> bool:
        """Takes one chunk; whether there may be more."""
        try:
            chunk = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._stop()
            return False
        self.seen_bytes += len(chunk)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += chunk[:room]
        if self.flooded:
            self._unfollow()
        return True

    def _stop(self) -> None:
        if self._source >= 0:
            self._unfollow()
            os.close(self._source)
            self._source = -1

    def _unfollow(self) -> None:
        if self._is_followed:
            self._loop.remove_reader(self._source)
