"""The Judge protocols, and the processes that run a judge under hard limits of time and memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from ns_eval.pool.targets import instantiate
from ns_eval.pool.workers import CallFailed, Limits, Pool
from ns_eval.records import Generation, Question, Sample, Verdict

_TIMEOUT_S = 2.0


class Judge(Protocol):
    """Decides from the question and the answer alone. `grade` runs in a worker process and must be deterministic."""

    name: str

    def grade(self, question: Question, generation: Generation) -> Verdict: ...

    def same(self, a: str, b: str) -> bool:
        """Whether two canonical answers of one question are the same answer: votes are counted over these classes."""
        ...


@runtime_checkable
class SelfLimited(Protocol):
    """A judge that runs its cases under limits of its own, as the code judge does in the sandbox: it needs no pool."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def graded(self, question: Question, generation: Generation) -> Verdict: ...


class ModelJudge(Protocol):
    """Decides by asking a model. It sends nothing itself: the loop asks what `messages` gives and hands back the reply."""

    name: str

    def messages(self, sample: Sample) -> list[dict[str, Any]]: ...

    def verdict(self, sample: Sample, reply: Generation) -> Verdict: ...


def build_judge(spec: Mapping[str, Any]) -> Any:
    """The judge that a spec names, as conf/judge/*.yaml writes it: `_target_` and its options.

    Raises:
        UsageError: see `targets.instantiate`.
    """
    return instantiate(spec)


def asks_a_model(judge: Any) -> bool:
    """Whether a judge cannot decide by itself."""
    return hasattr(judge, "messages")


class Grader:
    """Runs one judge in processes: `async with Grader(spec) as grader: verdict = await grader.grade(question, generation)`.

    A case that takes too long, too much memory or down its process gets a Verdict with `error` and `correct` None; no
    case slows another one down.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        workers: int | None = None,
        timeout_s: float | None = None,
        at_most_s: float | None = None,
        memory_bytes: int = 2 << 30,
    ) -> None:
        # Built here too, cheaply: a wrong spec is the caller's error, not that of every sample.
        self.judge: Judge = build_judge(spec)
        self._spec = dict(spec)
        count = workers if workers is not None else min(8, cores())
        # A judge of long texts says itself how long one may take.
        limit_s = timeout_s or float(getattr(self.judge, "timeout_s", _TIMEOUT_S))
        limit_s = min(limit_s, at_most_s or limit_s)
        self._limits = Limits(workers=count, timeout_s=limit_s, memory_bytes=memory_bytes)
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        if isinstance(self.judge, SelfLimited):
            await self.judge.__aenter__()
        else:
            self._pool = Pool(self._spec, "grade", self._limits)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.judge, SelfLimited):
            await self.judge.__aexit__(kind, error, trace)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close)

    @property
    def walls(self) -> str:
        """What stands between this machine and the code that the judge runs; empty where it runs none."""
        return str(getattr(self.judge, "walls", ""))

    async def grade(self, question: Question, generation: Generation) -> Verdict:
        """The judge's verdict; one with `error` where there is none."""
        if isinstance(self.judge, SelfLimited):
            return await self.judge.graded(question, generation)
        assert self._pool is not None, "use `async with Grader(...)`"
        try:
            verdict = await asyncio.wrap_future(self._pool.submit(question, generation))
        except CallFailed as failure:
            return Verdict(judge=self.judge.name, correct=None, error=f"{self.judge.name}: {failure}")
        assert isinstance(verdict, Verdict)
        return verdict


def cores() -> int:
    """Cores this process may use: fewer than the machine has within a Slurm job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
