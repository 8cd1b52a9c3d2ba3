"""The job in which a model judges the outputs of a run: distinct calls through the loop, then one verdict a sample.

    input_dir/output*.jsonl -> the calls that nobody is spared -> judge-calls/ -> output_dir/output*.jsonl

Calls are asked, resumed and recorded like any other question. The judged files are derived from the inputs and the calls,
so a kill at any moment costs the calls in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from judges.asking import Shown
from judges.record import Call, judged_row, row_columns, status_of
from ns_eval.client import Client
from ns_eval.errors import DataError
from ns_eval.files import replacing, write_text
from ns_eval.generation import Backend, connected, share_of
from ns_eval.grading import build_judge
from ns_eval.loop import Shelf, Work, generate
from ns_eval.progress import Progress
from ns_eval.records import (
    Generation,
    Json,
    Question,
    Request,
    Sample,
    Sampling,
    Verdict,
    dumps,
    loads,
    sample_from_row,
    verdict_columns,
)
from ns_eval.rundir import SeedFile

logger = logging.getLogger(__name__)

CALLS = "judge-calls"
_SEED = re.compile(r"output-rs(\d+)\.jsonl")


class SampleJudge(Protocol):
    """What judging needs of a judge of single samples."""

    name: str
    prompt_hash: str
    part_columns: tuple[str, ...]
    response_format: Mapping[str, Json] | None

    def shortcut(self, sample: Sample) -> Verdict | None: ...
    def call_key(self, sample: Sample) -> str: ...
    def asks_of(self, sample: Sample) -> int: ...
    def messages(self, sample: Sample, ask: int = 1, **part: int) -> list[dict[str, Any]]: ...
    def shown(self, sample: Sample) -> Shown: ...
    def verdict(self, sample: Sample, reply: Generation, *later: Generation) -> Verdict: ...
    def retry(self, sample: Sample, reply: Generation, ask: int = 1) -> bool: ...
    def settings(self) -> Mapping[str, Json]: ...
    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None: ...


@dataclass(frozen=True, slots=True)
class JudgingShare:
    """What the job does. `inputs` are output files, `folder` is where the judged ones go."""

    inputs: tuple[Path, ...]
    folder: Path
    judge: Mapping[str, Json]
    backend: Backend
    sampling: Sampling
    timeout_s: float
    progress: Path


@dataclass(frozen=True, slots=True)
class _Ask:
    """One reply that is wanted: of a call, one of its parts, one of its repeats; and where a sample of it stands."""

    key: str
    part: int
    repeat: int
    path: Path
    offset: int

    @property
    def name(self) -> str:
        return f"{self.key}.{self.part}.{self.repeat}"


@dataclass(slots=True)
class Tally:
    """What judging saved and what it could not do; written to judging.json."""

    samples: int = 0
    calls: int = 0
    shared: int = 0
    without_a_call: Counter[str] = field(default_factory=Counter)
    status: Counter[str] = field(default_factory=Counter)


def main(**arguments: Json) -> None:
    """Judges every sample of the input files."""
    asyncio.run(_judge(share_of(arguments, JudgingShare)))


async def _judge(share: JudgingShare) -> None:
    judge = build_judge(share.judge)
    if hasattr(judge, "surveyed"):
        judge = judge.surveyed(sample for _, _, sample in _all(share.inputs))
    asks = _asks(judge, share.inputs)
    calls = SeedFile(share.folder / CALLS, None)
    shelf = Shelf(CALLS, [Question(ask.name, "") for ask in asks.values()], {None: calls})
    shelf.read()
    async with contextlib.AsyncExitStack() as opened:
        progress = await opened.enter_async_context(Progress(share.progress))
        progress.start([shelf])
        if shelf.waiting.total():
            found = await connected(share.backend, opened)
            progress.sampling(found.retries)
            await generate([Work(shelf, _Caller(share, judge, asks, found.client))], found.places, progress)
    _write_judged(share, judge, _replies(calls))


@dataclass(frozen=True, slots=True)
class _Caller:
    """Asks for one reply, and again where it cannot be read."""

    share: JudgingShare
    judge: SampleJudge
    asks: Mapping[str, _Ask]
    client: Client

    async def __call__(self, question: Question, seed: int | None) -> Generation:
        wanted = self.asks[question.id]
        sample = _sample_at(wanted.path, wanted.offset)
        sampling = self.share.sampling
        if self.judge.response_format is not None:
            extra = {**sampling.extra_body, "response_format": self.judge.response_format}
            sampling = dataclasses.replace(sampling, extra_body=extra)
        ask = 1
        while True:
            part = {"part": wanted.part} if len(self.judge.part_columns) > 1 else {}
            messages = tuple(self.judge.messages(sample, ask, **part))
            request = Request(question.id, wanted.repeat or None, sampling, messages=messages)
            reply = await self.client.complete(request, timeout_s=self.share.timeout_s)
            if not self.judge.retry(sample, reply, ask):
                return dataclasses.replace(reply, meta={**reply.meta, "asks": ask})
            ask += 1


def _asks(judge: SampleJudge, inputs: Sequence[Path]) -> dict[str, _Ask]:
    """The distinct replies that are wanted, by name, in the order in which samples need them."""
    found: dict[str, _Ask] = {}
    for path, offset, sample in _all(inputs):
        if judge.shortcut(sample) is not None:
            continue
        key = judge.call_key(sample)
        if f"{key}.0.0" in found:
            continue
        for repeat in range(judge.asks_of(sample)):
            for part in range(len(judge.part_columns)):
                ask = _Ask(key, part, repeat, path, offset)
                found[ask.name] = ask
    return found


def _write_judged(share: JudgingShare, judge: SampleJudge, replies: Mapping[str, Generation]) -> None:
    tally = Tally(calls=len({name.partition(".")[0] for name in replies}))
    paid: set[str] = set()
    for path in share.inputs:
        with replacing(share.folder / path.name) as target:
            for _, row, sample in _rows(path):
                verdict, call = _decided(judge, sample, replies, paid, share.backend.model)
                tally.samples += 1
                tally.status[status_of(verdict)] += 1
                if call is None:
                    tally.without_a_call[verdict.comment or "not judged"] += 1
                else:
                    tally.shared += call.shared
                target.write(dumps(_with_verdict(row, verdict, row_columns(judge, verdict, call))))
        (share.folder / f"{path.name}.done").touch()
    expected = share.inputs[0].with_name("expected.json")
    if expected.exists():
        shutil.copyfile(expected, share.folder / "expected.json")
    write_text(share.folder / "judging.json", msgspec.json.format(msgspec.json.encode(tally), indent=2).decode() + "\n")


def _decided(
    judge: SampleJudge, sample: Sample, replies: Mapping[str, Generation], paid: set[str], model: str
) -> tuple[Verdict, Call | None]:
    free = judge.shortcut(sample)
    if free is not None:
        return free, None
    key = judge.call_key(sample)
    parts = range(len(judge.part_columns))
    said = [tuple(replies[f"{key}.{part}.{repeat}"] for part in parts) for repeat in range(judge.asks_of(sample))]
    verdicts = [judge.verdict(sample, *reply) for reply in said]
    call = Call(
        model=model,
        key=key,
        replies=said[0],
        shown=judge.shown(sample),
        asks=max(int(reply.meta.get("asks", 1)) for reply in said[0]),
        shared=key in paid,
        repeats=tuple(verdicts) if len(verdicts) > 1 else (),
        repeat_texts=tuple(reply.text for reply in (part for repeat in said[1:] for part in repeat)),
    )
    paid.add(key)
    return verdicts[0], call


def _with_verdict(row: Mapping[str, Json], verdict: Verdict, columns: Mapping[str, Json]) -> dict[str, Json]:
    verdicts = {**(row.get("verdicts") or {}), verdict.judge: verdict_columns(verdict)}
    return judged_row({**row, f"{verdict.judge}_correct": verdict.correct, "verdicts": verdicts}, columns)


def _replies(calls: SeedFile) -> dict[str, Generation]:
    calls.read()
    return {name: _sample_at(line.path, line.offset).generation for name, line in calls.lines.items()}


def _all(inputs: Sequence[Path]) -> Iterator[tuple[Path, int, Sample]]:
    for path in inputs:
        for offset, _, sample in _rows(path):
            yield path, offset, sample


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Json], Sample]]:
    """(offset, row, sample) of every line.

    Raises:
        DataError: a line that is no sample.
    """
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = loads(line)
                yield offset, row, sample_of(row, path, number)
            except (ValueError, KeyError) as error:
                raise DataError(f"{path}:{number}: not a sample ({error!r})") from error
            offset += len(line)


def _sample_at(path: Path, offset: int) -> Sample:
    with path.open("rb") as file:
        file.seek(offset)
        return sample_of(loads(file.readline()), path, 0)


def sample_of(row: Mapping[str, Json], path: Path, number: int) -> Sample:
    """A row of ours, or of a NeMo-Skills folder: there the place is the id, and the file's name says the seed."""
    if "status" in row and "verdicts" in row:
        return sample_from_row(row)
    named = _SEED.fullmatch(path.name)
    seed = int(named[1]) if named else None
    verdicts = {}
    if "predicted_answer" in row:
        answer = row["predicted_answer"]
        correct = row.get("symbolic_correct", row.get("is_correct"))
        verdicts["symbolic"] = {"correct": correct, "extracted": answer} | ({} if answer else {"comment": "no answer"})
    given = {
        "id": str(number),
        "problem": row.get("question", ""),
        "generation": "",
        **row,
        "seed": seed,
        "verdicts": verdicts,
    }
    return sample_from_row({**given, "status": row.get("status", "error" if row.get("error") else "ok")})
