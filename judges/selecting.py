"""GenSelect over one folder of outputs: one call a question, and the chosen sample as its only row.

input_dir/output*.jsonl -> groups -> judge-calls/ -> output_dir/output.jsonl
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from judges.calls import Asker, asked_model, calls_shelf, stored_replies
from judges.genselect import Choice, GenSelect, Group
from judges.outputs import Outputs, Place
from judges.replies import after_thinking
from judges.shown import capped
from ns_eval import rundir, seed_file
from ns_eval.client import Client
from ns_eval.files import replacing, write_text
from ns_eval.judge_plan import Judging, JudgingShare
from ns_eval.loop import Answer
from ns_eval.records import Generation, Json, Question, Sample, dumps, loads


@dataclass(slots=True)
class Tally:
    """What was chosen by whom; written to judging.json. `largest_group` is the most samples that a question has."""

    judge: str
    source: str
    questions: int = 0
    samples: int = 0
    calls: int = 0
    requests: int = 0
    largest_group: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    said: str = ""

    def told(self) -> str:
        """What was done, in one sentence."""
        how = ", ".join(f"{count} {source.replace('_', ' ')}" for source, count in self.sources.most_common())
        return f"{self.samples} samples of {self.questions} questions took {self.calls} calls; chosen by: {how}"


class Selecting:
    """One folder; a round draws with the selector's own seed."""

    def __init__(self, judging: Judging, share: JudgingShare, selector: GenSelect, inputs: Sequence[Path]) -> None:
        self._folder = judging.folder
        self._source = judging.source
        self._share = share
        self._selector = selector
        self._places: dict[tuple[str, int | None], Place] = {}
        self._groups = selector.groups(self._slim(Outputs(inputs)))
        self._wanted = {selector.call_key(group): group for group in self._groups if selector.shortcut(group) is None}
        self.shelf, self._calls = calls_shelf(judging, list(self._wanted))

    def _slim(self, outputs: Outputs) -> list[Sample]:
        """Every sample without what is never shown: all of a question are in memory, their thoughts would not fit."""
        longest = self._selector.options.solution_characters
        found = []
        for place, sample in outputs.samples():
            self._places[sample.question.id, sample.seed] = place
            text = capped(after_thinking(sample.generation.text), longest)
            found.append(dataclasses.replace(sample, generation=Generation(text, error=sample.generation.error)))
        return found

    def asking(self, client: Client) -> Answer:
        selector, asker = self._selector, Asker(client, self._share, self._selector.response_format)

        async def answer(question: Question, seed: int | None) -> Generation:
            group = self._wanted[question.id]
            return await asker.until_readable(
                question.id,
                0,
                lambda ask: selector.messages(group, ask),
                lambda reply, ask: selector.retry(group, reply, ask),
            )

        return answer

    def write(self) -> None:
        """The chosen rows in the order of the questions, and judging.json."""
        replies = stored_replies(self._calls)
        tally = Tally(self._selector.name, str(self._source), calls=len(self._wanted))
        with replacing(self._folder / seed_file.output_name(None)) as target:
            for group in self._groups:
                choice, reply = self._chosen(group, replies)
                tally.questions += 1
                tally.samples += len(group.samples)
                tally.largest_group = max(tally.largest_group, len(group.samples))
                tally.sources[choice.source] += 1
                tally.requests += 0 if reply is None else int(reply.meta.get("asks", 1))
                model = self._share.backend.model if reply is None else asked_model(reply, self._share.backend.model)
                columns = self._selector.columns(group, choice, reply, model)
                target.write(dumps({**self._row(choice.sample), **columns, "seed": None}))
        (self._folder / f"{seed_file.output_name(None)}.done").touch()
        tally.said = tally.told()
        rundir.expect_derived(self._source, self._folder)
        write_text(self._folder / "judging.json", msgspec.json.format(msgspec.json.encode(tally), indent=2).decode() + "\n")

    def _chosen(self, group: Group, replies: Mapping[str, Generation]) -> tuple[Choice, Generation | None]:
        free = self._selector.shortcut(group)
        if free is not None:
            return free, None
        reply = replies[self._selector.call_key(group)]
        return self._selector.choice(group, reply), reply

    def _row(self, sample: Sample) -> dict[str, Json]:
        place = self._places[sample.question.id, sample.seed]
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return loads(file.readline())
