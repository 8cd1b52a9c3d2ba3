"""How many requests and tokens a hosted API still takes in this minute, read from its answers, so that no 429 has to say it.

x-ratelimit-limit-requests, -remaining-requests, -reset-requests: 6m0s, 250ms       OpenAI, Azure, OpenRouter and others
anthropic-ratelimit-requests-limit, -remaining, -reset: 2026-11-21T15:00:00Z        Anthropic
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

_KINDS = ("requests", "tokens")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# A header that asks for more is no minute's limit but a day's: waiting for it is the user's decision.
_LONGEST_S = 600.0
# What was sent longer ago is in no window that still counts; it is known to the second.
_MINUTE_S = 60.0
_GRAIN_S = 1.0


@dataclass(slots=True)
class _Window:
    """What is left until `ends`; then `whole` is there again, if the API says how much that is."""

    left: float
    ends: float
    whole: float | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment among the requests: how many, and how many tokens, were let through up to it."""

    requests: float = 0.0
    tokens: float = 0.0


class Pace:
    """`mark = await pace.ready(tokens)` before a request, `pace.seen(headers, mark)` after its answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._sent = Mark()
        # The last one of each second of the last minute, and where that began: a local server takes thousands a second.
        self._recent: deque[tuple[float, Mark]] = deque()
        self._before = Mark()
        self.waited_s = 0.0

    def seen(self, headers: Mapping[str, str], mark: Mark | None = None) -> None:
        """Takes over what an answer's headers say; those of other servers hold nothing of it.

        They were made when its request arrived, so what was let through after `mark` comes off what is left.
        """
        for kind in _KINDS:
            left, whole = (_number(_said(headers, kind, what)) for what in ("remaining", "limit"))
            seconds = reset_s(_said(headers, kind, "reset"))
            if left is None or seconds is None:
                continue
            later = 0.0 if mark is None else self._later(kind, mark)
            self._windows[kind] = _Window(left - later, self._clock() + min(seconds, _LONGEST_S), whole)

    async def ready(self, tokens: int) -> Mark:
        """Returns when a request of so many tokens fits; one that is larger than a whole window waits for a fresh one."""
        while pause_s := self._pause(tokens):
            self.waited_s += pause_s
            await asyncio.sleep(pause_s)
        now = self._clock()
        while self._recent and self._recent[0][0] < now - _MINUTE_S:
            self._before = self._recent.popleft()[1]
        self._sent = Mark(self._sent.requests + 1, self._sent.tokens + tokens)
        began = self._recent.pop()[0] if self._recent and now - self._recent[-1][0] < _GRAIN_S else now
        self._recent.append((began, self._sent))
        return self._sent

    def _later(self, kind: str, mark: Mark) -> float:
        """What was let through after this request, in about the last minute."""
        sent, own, before = (getattr(moment, kind) for moment in (self._sent, mark, self._before))
        return float(sent - max(own, before))

    def _pause(self, tokens: int) -> float:
        now = self._clock()
        wanted = {"requests": 1.0, "tokens": float(tokens)}
        for kind, window in list(self._windows.items()):
            if now >= window.ends and window.whole is None:
                del self._windows[kind]
            elif now >= window.ends:
                self._windows[kind] = _Window(window.whole or 0.0, now + 60.0, window.whole)
        short = [
            window.ends - now
            for kind, window in self._windows.items()
            if window.left < min(wanted[kind], window.whole or wanted[kind])
        ]
        if short:
            return max(short) + 0.001
        for kind, window in self._windows.items():
            window.left -= wanted[kind]
        return 0.0


def reset_s(text: str | None) -> float | None:
    """Seconds until a limit is lifted: `6m0s`, `250ms`, `12` or a time of day with its date; None where it is neither."""
    if not text:
        return None
    parts = _PARTS.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    number = _number(text)
    if number is not None:
        # OpenRouter gives the moment, in milliseconds of Unix time.
        return max(0.0, number / 1000 - time.time()) if number > 1e11 else number
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp() - time.time())
    except ValueError:
        return None


def _said(headers: Mapping[str, str], kind: str, what: str) -> str | None:
    return headers.get(f"x-ratelimit-{what}-{kind}") or headers.get(f"anthropic-ratelimit-{kind}-{what}")


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
