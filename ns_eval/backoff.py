"""How often a request is tried again, and after how long."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a request is tried, and how long between: first_s doubled each time, at most longest_s, half of it jitter.

    A rate limit is waited for, since it says that others are served, and so is the closed port of a server that is being
    restarted: vLLM closes it seconds before it ends. A silent server is not, since each try costs a timeout.
    """

    attempts: int = 6
    limited_attempts: int = 40
    silent_attempts: int = 2
    first_s: float = 0.5
    longest_s: float = 60.0

    def allowed(self, kind: str, *, watched: bool = False) -> int:
        """The number of attempts after which a fault of this kind is recorded; `watched`: somebody restarts the server."""
        patient = kind == "429" or (kind == "refused" and watched)
        return self.limited_attempts if patient else self.silent_attempts if kind == "timeout" else self.attempts

    def pause_s(self, attempt: int, wish_s: float | None, rng: random.Random) -> float:
        """Seconds before the next attempt; a server's own wish counts, up to ten times `longest_s`."""
        pause = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        if wish_s is not None:
            pause = max(pause, min(wish_s, 10 * self.longest_s))
        return pause * (1.0 if wish_s else 0.5) + pause * 0.5 * rng.random()


def retry_after_s(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
