"""How far a run is: counted in the job, written beside its log, read and shown by whoever looks."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from ns_eval.files import replacing
from ns_eval.loop import Shelf
from ns_eval.records import Sample
from ns_eval.spending import dollars

logger = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True):
    """The counts of one job. `before` samples were on disk when it started; `done` counts those and its own.

    `usd` is what they cost, earlier starts included; `judged` and `right` are over this start's samples; `seconds` is its
    wall time so far; `stage` says what it waits for.
    """

    stage: str = "starting"
    total: int = 0
    before: int = 0
    done: int = 0
    judged: int = 0
    right: int = 0
    truncated: int = 0
    no_answer: int = 0
    errors: int = 0
    retries: int = 0
    tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0


_COUNTED = ("total", "before", "done", "judged", "right", "truncated", "no_answer", "errors", "tokens")


def read(path: Path) -> Snapshot:
    """What the job last wrote; an empty snapshot where it has written nothing yet."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return Snapshot()


def summed(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several jobs as one: counts add up, the longest time counts, the stage is that of the first job still under way."""
    found = list(snapshots)
    stages = [item.stage for item in found if item.stage != "done"]
    return Snapshot(
        stage=stages[0] if stages else "done",
        seconds=max((item.seconds for item in found), default=0.0),
        **{name: sum(getattr(item, name) for item in found) for name in (*_COUNTED, "retries", "usd")},
    )


def line(now: Snapshot) -> str:
    """One line for people: done/total, accuracy, tokens a second, what went wrong, time left."""
    if now.total == 0:
        return now.stage
    asked = now.done - now.before
    parts = [f"{now.done}/{now.total}"]
    if now.judged:
        parts.append(f"right {now.right / now.judged:.1%}")
    if now.seconds > 0 and now.tokens:
        parts.append(f"{now.tokens / now.seconds:,.0f} tokens/s")
    if now.usd:
        parts.append(dollars(now.usd))
    parts += [f"{name} {count}" for name, count in _troubles(now) if count]
    if asked and now.done < now.total:
        parts.append(f"{_clock((now.total - now.done) * now.seconds / asked)} left")
    if now.stage not in ("sampling", "done"):
        parts.append(now.stage)
    return " · ".join(parts)


def _troubles(now: Snapshot) -> list[tuple[str, int]]:
    return [("truncated", now.truncated), ("no answer", now.no_answer), ("errors", now.errors), ("retries", now.retries)]


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Progress:
    """Counts the samples of one job and writes a snapshot twice a second while `async with` lasts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._retries: Callable[[], int] = lambda: 0
        self._usd: Callable[[], float] = lambda: 0.0
        self._counts: Counter[str] = Counter()
        self._stage = "starting the server"
        self._started = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self, shelves: Sequence[Shelf]) -> None:
        """Counts what there is to do."""
        for shelf in shelves:
            whole = len(shelf.files) * len(shelf.questions)
            self._counts["total"] += whole
            self._counts["before"] += whole - shelf.waiting.total()
        self._counts["done"] = self._counts["before"]

    def sampling(self, retries: Callable[[], int], usd: Callable[[], float] = lambda: 0.0) -> None:
        """The server is there: the clock of tokens a second starts."""
        self._retries, self._usd = retries, usd
        self._stage, self._started = "sampling", time.monotonic()

    def sample(self, sample: Sample) -> None:
        found = {"truncated": "truncated", "no_answer": "no_answer", "error": "errors"}.get(sample.status)
        self._counts.update(["done", *([found] if found else [])])
        self._counts["tokens"] += sample.generation.completion_tokens or 0
        if sample.verdicts and sample.verdicts[0].correct is not None:
            self._counts["judged"] += 1
            self._counts["right"] += sample.verdicts[0].correct

    def snapshot(self) -> Snapshot:
        counts = {name: self._counts[name] for name in _COUNTED}
        return Snapshot(
            stage=self._stage, retries=self._retries(), seconds=time.monotonic() - self._started, usd=self._usd(), **counts
        )

    async def __aenter__(self) -> Progress:
        self._task = asyncio.create_task(self._keep_writing())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        self._stage = "stopped" if kind else "done"
        self._write()
        logger.info("%s", line(self.snapshot()))

    async def _keep_writing(self) -> None:
        for turn in range(sys.maxsize):
            self._write()
            if turn % 20 == 0:
                logger.info("%s", line(self.snapshot()))
            await asyncio.sleep(0.5)

    def _write(self) -> None:
        with replacing(self._path, durable=False) as file:
            file.write(msgspec.json.encode(self.snapshot()))
