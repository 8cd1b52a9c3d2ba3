"""Lets a model choose the best of several solutions of one question (GenSelect; arXiv 2504.16891).

    selector = GenSelect()
    for group in selector.groups(samples, seed=0):     # one group a question: which solutions are shown, in which order
        choice = selector.shortcut(group)              # all answers agree, or there is none: no call
        choice = selector.choice(group, reply)         # what the reply to selector.messages(group) chose

Fallback: where no ask gave a readable index, the most frequent answer among all solutions of the question is taken, and of
equally frequent ones the one shown first; the choice says source "fallback", so that a table can count them.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judges import asking, replies
from judges.asking import Shown, canonical_answer, chance
from judges.replies import after_thinking
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Generation, Json, Question, Sample
from ns_eval.schema import build


@dataclass(frozen=True)
class GenSelectOptions:
    """conf/judge/genselect.yaml"""

    window: int = 16
    """Solutions shown in one call, at most."""
    solution_characters: int = 16_384
    """Characters of one solution, at most; the middle is left out of a longer one."""
    seed: int = 0
    """Draws the solutions and their order, together with the seed of the round."""


@dataclass(frozen=True, slots=True)
class Group:
    """One call: `shown` are the solutions in the order of their numbers, `samples` all of the question."""

    question: Question
    seed: int
    samples: tuple[Sample, ...]
    shown: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen sample. `source`: model, single_answer, no_answer or fallback; `index` is its number among the shown."""

    sample: Sample
    source: str
    index: int | None = None
    error: str | None = None


class GenSelect:
    """Chooses by asking. The prompt may use the question's columns, `solutions`, `count`, `last` and `fence`."""

    name = "genselect"
    response_format: Mapping[str, Json] | None = None

    def __init__(self, prompt: str | Mapping[str, Any] = "genselect", **options: Any) -> None:
        self.options = build(GenSelectOptions, options, "genselect")
        if self.options.window < 2:
            raise UsageError(f"genselect: `window` must be 2 or more, found {self.options.window}")
        self._prompt = asking.resolved(prompt)
        self.prompt_hash = asking.prompt_hash([self._prompt])

    def spec(self) -> dict[str, Json]:
        """`_target_` and options as plain data."""
        return {"_target_": "judges.genselect.GenSelect", "prompt": asking.plain(self._prompt), **self.settings()}

    def settings(self) -> dict[str, Json]:
        return dataclasses.asdict(self.options)

    def groups(self, samples: Iterable[Sample], seed: int = 0) -> list[Group]:
        """One group a question, in the order in which the questions appear; another `seed` draws other solutions.

        Every different answer is shown if there is room, the rest in proportion to how often each was given. The place of
        the most frequent answer goes round: over the questions each place holds it equally often, give or take one.

        Raises:
            DataError: one id with two different questions, or a (question, seed) that stands twice.
        """
        questions = _by_question(samples)
        drawn = {key: self._drawn(members, seed) for key, members in questions.items()}
        places: dict[int, int] = collections.defaultdict(lambda: seed)
        order = sorted(drawn, key=lambda key: chance(self.options.seed, "place", key))
        turned: dict[str, tuple[Sample, ...]] = {}
        for key in order:
            size = len(drawn[key])
            turned[key] = _turned(drawn[key], places[size]) if size else ()
            places[size] += 1
        return [Group(members[0].question, seed, tuple(members), turned[key]) for key, members in questions.items()]

    def shortcut(self, group: Group) -> Choice | None:
        """The choice where there is nothing to choose: no solution has an answer, or all have the same."""
        if not group.shown:
            return Choice(group.samples[0], "no_answer")
        if len({canonical_answer(sample) for sample in group.shown}) == 1:
            return Choice(group.shown[0], "single_answer", 0)
        return None

    def call_key(self, group: Group) -> str:
        return asking.key(self.prompt_hash, self.messages(group))

    def messages(self, group: Group, ask: int = 1) -> list[dict[str, Any]]:
        """What is asked; later asks remind of the format."""
        shown = self.shown(group).values
        fence, count = shown["fence"], len(group.shown)
        blocks = [f"<solution {n} {fence}>\n{shown[str(n)].strip()}\n</solution {n} {fence}>" for n in range(count)]
        values = {"solutions": "\n\n".join(blocks), "count": count, "last": count - 1, "fence": fence}
        text = f"End your reply with one line that reads exactly `Judgement: <number>`, a number from 0 to {count - 1}."
        return asking.filled(self._prompt, group.question, values, asking.reminder_at(ask, text))

    def shown(self, group: Group) -> Shown:
        """The solutions as the judge sees them: what follows the thinking, without verdicts of their own."""
        texts = {str(number): after_thinking(sample.generation.text) for number, sample in enumerate(group.shown)}
        return Shown.of(texts, characters=self.options.solution_characters)

    def choice(self, group: Group, reply: Generation) -> Choice:
        """The solution whose number stands behind the last "Judgement:", else the fallback with the reason in `error`."""
        index = _index(group, reply)
        if index is not None:
            return Choice(group.shown[index], "model", index)
        fallback = _most_frequent(group)
        return Choice(group.shown[fallback], "fallback", fallback, error=asking.reply_error(reply) or asking.unparsed(reply))

    def retry(self, group: Group, reply: Generation, ask: int = 1) -> bool:
        """Whether to ask again."""
        return asking.again(reply, ask, readable=_index(group, reply) is not None)

    def columns(self, group: Group, choice: Choice, reply: Generation | None, model: str) -> dict[str, Json]:
        """What is added to the row of the chosen sample; docs/judges.md lists it."""
        return {
            "genselect_judgement": None if reply is None else reply.text,
            "genselect_index": choice.index,
            "genselect_source": choice.source,
            "genselect_error": choice.error,
            "genselect_k": len(group.samples),
            "genselect_chosen_seed": choice.sample.seed,
            "genselect_shown_seeds": [sample.seed for sample in group.shown],
            "genselect_model": model,
            "genselect_prompt_hash": self.prompt_hash,
            "genselect_settings": self.settings(),
            "genselect_num_input_tokens": None if reply is None else reply.prompt_tokens,
            "genselect_num_generated_tokens": None if reply is None else reply.completion_tokens,
            "genselect_seconds": None if reply is None else reply.seconds,
        }

    def _drawn(self, samples: Sequence[Sample], seed: int) -> list[Sample]:
        """Which samples of one question are shown, an instance of the most frequent answer first, the others shuffled."""
        clusters: dict[str, list[Sample]] = collections.defaultdict(list)
        for sample in sorted(samples, key=lambda sample: self._chance(sample, seed, "draw")):
            answer = None if sample.status == "error" else canonical_answer(sample)
            if answer is not None:
                clusters[answer].append(sample)
        ranked = sorted(clusters.values(), key=len, reverse=True)
        counts = shares([len(cluster) for cluster in ranked], self.options.window)
        picked = [sample for cluster, count in zip(ranked, counts, strict=True) for sample in cluster[:count]]
        return picked[:1] + sorted(picked[1:], key=lambda sample: self._chance(sample, seed, "order"))

    def _chance(self, sample: Sample, seed: int, purpose: str) -> float:
        return chance(self.options.seed, purpose, str(seed), sample.question.id, str(sample.seed))


def shares(sizes: Sequence[int], window: int) -> list[int]:
    """How many of each cluster are shown: one of each, largest first, then in proportion to the size (largest remainder)."""
    counts = [1 if rank < window else 0 for rank in range(len(sizes))]
    room = min(window, sum(sizes)) - sum(counts)
    if room <= 0:
        return counts
    left = [size - count for size, count in zip(sizes, counts, strict=True)]
    exact = [room * size / sum(left) for size in left]
    more = [int(value) for value in exact]
    ranked = sorted(range(len(sizes)), key=lambda rank: (more[rank] - exact[rank], rank))
    for rank in ranked[: room - sum(more)]:
        more[rank] += 1
    return [count + extra for count, extra in zip(counts, more, strict=True)]


def _turned(drawn: Sequence[Sample], place: int) -> tuple[Sample, ...]:
    """The first one moved to `place`, counted round."""
    shift = place % len(drawn)
    return (*drawn[len(drawn) - shift :], *drawn[: len(drawn) - shift])


def _by_question(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    seen: set[tuple[str, int | None]] = set()
    for sample in samples:
        members = found.setdefault(sample.question.id, [])
        if members and members[0].question.problem != sample.question.problem:
            raise DataError(
                f"question `{sample.question.id}` reads otherwise in seed {sample.seed} than in seed {members[0].seed}",
                hint="keep the output files of one run in one folder",
            )
        if (sample.question.id, sample.seed) in seen:
            raise DataError(f"question `{sample.question.id}`: seed {sample.seed} stands twice")
        seen.add((sample.question.id, sample.seed))
        members.append(sample)
    return found


def _index(group: Group, reply: Generation) -> int | None:
    return None if reply.error is not None else replies.choice(reply.text, len(group.shown))


def _most_frequent(group: Group) -> int:
    votes = collections.Counter(canonical_answer(sample) for sample in group.samples if sample.status != "error")
    answers = [canonical_answer(sample) for sample in group.shown]
    return max(range(len(answers)), key=lambda number: (votes[answers[number]], -number))
