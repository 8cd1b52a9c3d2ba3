"""The job in which a model judges the outputs of a run: distinct calls through the loop, then one verdict a sample.

    input_dir/output*.jsonl -> the calls that nobody is spared -> judge-calls/ -> output_dir/output*.jsonl

Calls are asked, resumed and recorded like any other question. The judged files are derived from the inputs and the calls,
so a kill at any moment costs the calls in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from judges.asking import Shown
from judges.calls import Asker, Task, all_answered, asked_model, calls_shelf, stored_replies
from judges.outputs import Outputs, Place
from judges.record import Call, judged_row, row_columns, status_of
from judges.selecting import Selecting
from ns_eval import rundir
from ns_eval.client import Client
from ns_eval.files import replacing, write_text
from ns_eval.generation import connected, share_of
from ns_eval.grading import build_judge
from ns_eval.judge_plan import Judging, JudgingShare
from ns_eval.loop import Answer, Shelf, Work, generate
from ns_eval.progress import Progress
from ns_eval.records import Generation, Json, Question, Sample, Verdict, dumps, verdict_columns
from ns_eval.seed_file import SeedFile


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


@dataclass(slots=True)
class Tally:
    """What judging saved and what it could not do; written to judging.json. `calls` counts those that were made,
    `requests` what was sent for them: parts, repeats and second asks included; `source` is the folder that was judged,
    `scale` the ends of a rating's."""

    judge: str
    source: str
    scale: tuple[float, float] | None = None
    samples: int = 0
    calls: int = 0
    requests: int = 0
    shared: int = 0
    without_a_call: Counter[str] = field(default_factory=Counter)
    status: Counter[str] = field(default_factory=Counter)
    said: str = ""

    def told(self) -> str:
        """The saving in one sentence."""
        spared = self.samples - self.calls
        share = f" ({spared / self.samples:.0%} spared)" if self.samples else ""
        reasons = [f"{self.shared} share another's"] if self.shared else []
        reasons += [f"{count} {reason.replace('_', ' ')}" for reason, count in self.without_a_call.most_common()]
        again = self.requests - self.calls
        return (
            f"{self.samples} samples took {self.calls} call{'s' * (self.calls != 1)}{share}"
            + (f": {', '.join(reasons)}" if reasons else "")
            + (f"; {again} requests more for second orders, repeats and what could not be read" if again > 0 else "")
        )


def main(**arguments: Json) -> None:
    """Judges every sample of the input files."""
    asyncio.run(_judge(share_of(arguments, JudgingShare)))


async def _judge(share: JudgingShare) -> None:
    tasks = [_task(judging, share) for judging in share.judgings]
    async with contextlib.AsyncExitStack() as opened:
        progress = await opened.enter_async_context(Progress(share.progress))
        progress.start([task.shelf for task in tasks])
        if any(task.shelf.waiting.total() for task in tasks):
            found = await connected(share.backend, opened)
            progress.sampling(found.retries, found.usd)
            await generate([Work(task.shelf, task.asking(found.client)) for task in tasks], found.places, progress)
    for task in tasks:
        if all_answered(task.shelf):
            task.write()


def _task(judging: Judging, share: JudgingShare) -> Task:
    judge = build_judge(judging.judge)
    inputs = tuple(rundir.outputs(judging.source, judging.seeds).values())
    if hasattr(judge, "groups"):
        return Selecting(judging, share, judge, inputs)
    baseline = tuple(rundir.outputs(judging.baseline).values()) if judging.baseline else ()
    return _Judging(judging, share, judge, Outputs(inputs, baseline))


@dataclass(frozen=True, slots=True)
class _Ask:
    """One reply that is wanted: of a call, one of its parts, one of its repeats; and where a sample of it stands."""

    key: str
    part: int
    repeat: int
    place: Place

    @property
    def name(self) -> str:
        return f"{self.key}.{self.part}.{self.repeat}"


class _Judging:
    """One folder judged sample by sample."""

    def __init__(self, judging: Judging, share: JudgingShare, judge: Any, outputs: Outputs) -> None:
        self._folder, self._source = judging.folder, judging.source
        self._share = share
        self._outputs = outputs
        # Any: a user's own judge is checked by nobody before it is called.
        self._judge: SampleJudge = (
            judge.surveyed(sample for _, sample in outputs.samples()) if hasattr(judge, "surveyed") else judge
        )
        self._asks = self._wanted()
        self.shelf: Shelf
        self._calls: SeedFile
        self.shelf, self._calls = calls_shelf(judging, list(self._asks))

    def _wanted(self) -> dict[str, _Ask]:
        """The distinct replies, by name, in the order in which samples need them."""
        judge = self._judge
        found: dict[str, _Ask] = {}
        for place, sample in self._outputs.samples():
            if judge.shortcut(sample) is not None:
                continue
            key = judge.call_key(sample)
            if f"{key}.0.0" in found:
                continue
            for repeat in range(judge.asks_of(sample)):
                for part in range(len(judge.part_columns)):
                    ask = _Ask(key, part, repeat, place)
                    found[ask.name] = ask
        return found

    def asking(self, client: Client) -> Answer:
        judge, asker = self._judge, Asker(client, self._share, self._judge.response_format)
        parts = len(judge.part_columns)

        async def answer(question: Question, seed: int | None) -> Generation:
            wanted = self._asks[question.id]
            sample = self._outputs.at(wanted.place)
            part = {"part": wanted.part} if parts > 1 else {}
            return await asker.until_readable(
                question.id,
                wanted.repeat,
                lambda ask: judge.messages(sample, ask, **part),
                lambda reply, ask: judge.retry(sample, reply, ask),
            )

        return answer

    def write(self) -> None:
        """The judged files, and judging.json."""
        replies = {name: reply for name, reply in stored_replies(self._calls).items() if name in self._asks}
        tally = Tally(
            judge=self._judge.name,
            source=str(self._source),
            scale=getattr(self._judge, "scale", None),
            calls=len({ask.key for ask in self._asks.values()}),
            requests=sum(int(reply.meta.get("asks", 1)) for reply in replies.values()),
        )
        paid: set[str] = set()
        for path in self._outputs.paths:
            with replacing(self._folder / path.name) as target:
                for _, row, sample in self._outputs.rows(path):
                    verdict, call = self._decided(sample, replies, paid)
                    _count(tally, verdict, call)
                    target.write(dumps(_with_verdict(row, verdict, row_columns(self._judge, verdict, call))))
            (self._folder / f"{path.name}.done").touch()
        tally.said = tally.told()
        rundir.expect_derived(self._source, self._folder)
        write_text(self._folder / "judging.json", msgspec.json.format(msgspec.json.encode(tally), indent=2).decode() + "\n")

    def _decided(self, sample: Sample, replies: Mapping[str, Generation], paid: set[str]) -> tuple[Verdict, Call | None]:
        judge = self._judge
        free = judge.shortcut(sample)
        if free is not None:
            return free, None
        key = judge.call_key(sample)
        parts = range(len(judge.part_columns))
        said = [tuple(replies[f"{key}.{part}.{repeat}"] for part in parts) for repeat in range(judge.asks_of(sample))]
        verdicts = [judge.verdict(sample, *reply) for reply in said]
        call = Call(
            model=asked_model(said[0][0], self._share.backend.model),
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


def _count(tally: Tally, verdict: Verdict, call: Call | None) -> None:
    tally.samples += 1
    tally.status[status_of(verdict)] += 1
    if call is None:
        tally.without_a_call[verdict.comment or "not judged"] += 1
    else:
        tally.shared += call.shared


def _with_verdict(row: Mapping[str, Json], verdict: Verdict, columns: Mapping[str, Json]) -> dict[str, Json]:
    verdicts = {**(row.get("verdicts") or {}), verdict.judge: verdict_columns(verdict)}
    return judged_row({**row, f"{verdict.judge}_correct": verdict.correct, "verdicts": verdicts}, columns)
