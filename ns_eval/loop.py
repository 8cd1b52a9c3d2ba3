"""THE LOOP: one queue over all benchmarks, questions and seeds of a job, against one server."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ns_eval.queue import Queue
from ns_eval.records import Generation, Question, Sample, Status, Verdict
from ns_eval.seed_file import SeedFile


class Answer(Protocol):
    """How one sample is asked for: one request, or many where code is run in between. A failure is recorded."""

    async def __call__(self, question: Question, seed: int | None) -> Generation: ...


class Grade(Protocol):
    """What the loop needs of a grader: a verdict for each answer, never an exception for one bad case."""

    async def grade(self, question: Question, generation: Generation) -> Verdict: ...


class Watcher(Protocol):
    """Who wants to know of each sample that is written."""

    def sample(self, sample: Sample) -> None: ...


@dataclass(slots=True)
class Shelf:
    """One benchmark on disk as one job fills it: the file of each seed, and how many samples each still waits for.

    `whole` names all questions of the benchmark, in its order, where `questions` are a chunk of them.
    """

    benchmark: str
    questions: Sequence[Question]
    files: Mapping[int | None, SeedFile]
    whole: Sequence[str] = ()
    waiting: Counter[int | None] = field(default_factory=Counter)

    @property
    def names(self) -> list[str]:
        return [question.id for question in self.questions]

    def read(self) -> None:
        """Learns what is there. A file whose last sample is there is finished: a kill can fall before the renaming."""
        for seed, file in self.files.items():
            file.read()
            self.waiting[seed] = len(file.left(self.names)) + len(file.unjudged(self.names))
            if not self.waiting[seed]:
                file.finish(self.whole or self.names)

    def keep(self, sample: Sample) -> None:
        """Writes an answer that nobody has graded yet: a kill does not lose it."""
        self.files[sample.seed].append(sample)

    def put(self, sample: Sample) -> None:
        """Writes one sample; the last one finishes its file."""
        self.files[sample.seed].append(sample)
        self.waiting[sample.seed] -= 1
        if not self.waiting[sample.seed]:
            self.files[sample.seed].finish(self.whole or self.names)

    def close(self) -> None:
        for file in self.files.values():
            file.close()


@dataclass(frozen=True, slots=True)
class Work:
    """A shelf, who answers its questions and who grades them; nobody grades what has no right answer."""

    shelf: Shelf
    answer: Answer
    grader: Grade | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    work: Work
    question: Question
    seed: int | None

    @property
    def key(self) -> tuple[str, str]:
        return self.work.shelf.benchmark, self.question.id


# So many answers may wait for their grader before nothing more is asked: they hold memory.
_UNGRADED = 16


class Places:
    """How many requests may be in flight: little more than the engine holds, so that the next one is chosen late.

    A 429 brings the number down by a third, once for all the requests that were in flight then; answers bring it up again.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._allowed = float(most)
        self._answers = most

    def free(self) -> bool:
        return self.used < int(self._allowed)

    def slower(self) -> None:
        if self._answers >= self._allowed:
            self._allowed = max(1.0, min(self._allowed, self.used) * 2 / 3)
            self._answers = 0

    def answered(self) -> None:
        self._answers += 1
        self._allowed = min(float(self.most), self._allowed + 1 / self._allowed)


def places_for(slots: int | None, most: int) -> Places:
    """A spare request for every eight slots hides the way between two answers; an engine of unknown size gets the most."""
    return Places(most if slots is None else min(most, slots + max(1, slots // 8)))


async def generate(works: Sequence[Work], places: Places, watcher: Watcher) -> None:
    """Asks and grades every sample that is not on disk; each is written the moment it is graded.

    One bad sample never ends the run: it is recorded as an error. A fault that concerns every request does.

    Raises:
        ServerError: the server is gone, refuses the key or does not know the model. What is written stays.
    """
    try:
        await _Run(_queue(works), places, watcher).drive()
    finally:
        for work in works:
            work.shelf.close()


class _Run:
    """The state of one `generate`."""

    def __init__(self, queue: Queue[_Item], places: Places, watcher: Watcher) -> None:
        self._queue = queue
        self._places = places
        self._watcher = watcher
        self._running: set[asyncio.Task[None]] = set()
        self._ended: deque[asyncio.Task[None]] = deque()
        self._wake = asyncio.Event()

    async def drive(self) -> None:
        try:
            while self._queue or self._running:
                self._start()
                await self._wake.wait()
                self._wake.clear()
                while self._ended:
                    self._ended.popleft().result()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        backlog = self._places.most + _UNGRADED
        while self._queue and self._places.free() and len(self._running) < backlog:
            self._places.used += 1
            task = asyncio.create_task(self._one(self._queue.take()))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.append(task)
        self._wake.set()

    async def _one(self, item: _Item) -> None:
        """One sample, from the prompt to the line on disk. Its place is free as soon as the answer is there."""
        work, question, seed = item.work, item.question, item.seed
        try:
            kept = work.shelf.files[seed].kept(question.id)
            generation = kept or await work.answer(question, seed)
        finally:
            self._places.used -= 1
            self._wake.set()
        self._queue.finished(item.key, generation.completion_tokens or 0)
        sample = Sample(question, seed, status_of(generation, ()), generation)
        if generation.error is None:
            self._places.answered()
            if work.grader is not None:
                if kept is None:
                    work.shelf.keep(sample)
                verdicts = (await work.grader.grade(question, generation),)
                sample = Sample(question, seed, status_of(generation, verdicts), generation, verdicts)
        work.shelf.put(sample)
        self._watcher.sample(sample)


def _queue(works: Sequence[Work]) -> Queue[_Item]:
    queue: Queue[_Item] = Queue()
    for work in works:
        shelf = work.shelf
        asked: dict[str, list[int | None]] = {name: [] for name in shelf.names}
        for seed, file in shelf.files.items():
            for name in [*file.left(shelf.names), *file.unjudged(shelf.names)]:
                asked[name].append(seed)
        for question in shelf.questions:
            items = [_Item(work, question, seed) for seed in asked[question.id]]
            lines = (file.lines.get(question.id) for file in shelf.files.values())
            known = [line.tokens for line in lines if line and line.tokens and line.status != "error"]
            queue.add((shelf.benchmark, question.id), items, known)
    return queue


def status_of(generation: Generation, verdicts: Sequence[Verdict]) -> Status:
    """One state for every sample, the gravest that holds (stats.md, results model)."""
    if generation.error is not None:
        return "error"
    if generation.finish_reason == "content_filter":
        return "filtered"
    if generation.finish_reason == "length":
        return "truncated"
    if verdicts and verdicts[0].error is None and verdicts[0].extracted is None:
        return "no_answer"
    return "ok"
