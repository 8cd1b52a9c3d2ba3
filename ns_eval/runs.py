"""One benchmark as a run asks it: every choice made, every name looked up. It is plain data and travels in a job's spec."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns_eval import pictures, prompts, questions, seed_file
from ns_eval.config import BenchmarkConfig, CodeExecutionConfig, InferenceConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.markup import CodeTags
from ns_eval.prompts import Prompt
from ns_eval.records import Json, Question, Request, Sampling


@dataclass(frozen=True, slots=True)
class CodeRun:
    """That the model's code is run: its bounds, and the tags by which it is found; None where the endpoint calls a tool.

    `told` says in one line what the model hears about the executions that are left."""

    config: CodeExecutionConfig
    tags: CodeTags | None
    told: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """That the reference is asked about behind the prompt, which has to be a text: its log-probabilities give perplexity."""

    prompt: Prompt
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """`questions` is the prepared file, `fingerprint` its content's; `rows` are asked, the first ones or `drawn` ones, and
    `upstream_rows` is set where its source has another number. Without a `split` they are any rows, and nothing is graded.
    `judge` is the spec that builds the judge, which may take `grading_s` seconds for a sample; `adapter` the one that
    answers (empty: the base model), `settings` what must not change inside one folder, `chunk` is (which, of how many) parts
    of the questions that are asked; None: all. With `longer` only what was truncated below that many tokens is asked."""

    name: str
    split: str
    seeds: tuple[int | None, ...]
    questions: Path
    fingerprint: str
    rows: int
    upstream_rows: int | None
    prompt: Prompt
    sampling: Sampling
    greedy: Sampling
    judge: Mapping[str, Json]
    metric_type: str
    folder: Path
    timeout_s: float
    code: CodeRun | None = None
    adapter: str = ""
    likelihood: str = ""
    reference: ReferenceRun | None = None
    drawn: bool = False
    grading_s: float | None = None
    longer: int | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    chunk: tuple[int, int] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """What is written below the run folder: two jobs must not write the same."""
        part = "#{}/{}".format(*self.chunk) if self.chunk else ""
        return tuple(f"{self.folder / seed_file.output_name(seed)}{part}" for seed in self.seeds)

    def with_seeds(self, seeds: Sequence[int | None]) -> BenchmarkRun:
        return dataclasses.replace(self, seeds=tuple(seeds))

    def of_model(self, adapter: str, folder: Path, identity: str) -> BenchmarkRun:
        """The same questions, seeds and settings for another model: what two of them answer is paired."""
        return dataclasses.replace(self, adapter=adapter, folder=folder, settings={**self.settings, "model": identity})


def part_of(run: BenchmarkRun, found: Sequence[Question]) -> Sequence[Question]:
    """The questions of the run's chunk: as many as in the others, the last one takes what is over."""
    if run.chunk is None:
        return found
    which, count = run.chunk
    size = len(found) // count
    return found[which * size : None if which == count - 1 else (which + 1) * size]


def questions_of(run: BenchmarkRun) -> tuple[Question, ...]:
    """The questions that are asked, those of all chunks.

    Raises:
        DataError: the file is not what it was when the run was planned.
    """
    found = questions.read(run.questions, run.name) if run.split else questions.read_rows(run.questions)
    if questions.fingerprint(found) != run.fingerprint:
        raise DataError(f"{run.questions} was changed after the run was planned", hint="start the same command again")
    return asked_of(run, found)


def asked_of(run: BenchmarkRun, found: Sequence[Question]) -> tuple[Question, ...]:
    """Of the questions of its file those that are asked."""
    return questions.drawn(found, run.rows) if run.drawn else tuple(found[: run.rows])


def request_of(run: BenchmarkRun, question: Question, seed: int | None) -> Request:
    """What is sent for one sample, its pictures included.

    Raises:
        DataError: see `prompts.request` and `pictures.files_of`.
        UsageError: pictures on the text route.
    """
    asked = prompts.request(run.prompt, question, seed, run.greedy if seed is None else run.sampling)
    return pictures.with_pictures(asked, pictures.files_of(question, run.questions.parent))


def numbers(text: str, option: str) -> list[int]:
    """`0,3` or `0..7` -> the numbers.

    Raises:
        UsageError: something else.
    """
    found: list[int] = []
    for item in text.split(","):
        span = _SPAN.fullmatch(item.strip())
        if span:
            found += range(int(span[1]), int(span[2]) + 1)
        elif item.strip().isdecimal():
            found.append(int(item))
        else:
            raise UsageError(f"--{option}={text}: `{item}` is no number", hint=f"--{option}=0,3 or --{option}=0..7")
    return found


_SPAN = re.compile(r"(\d+)\.\.(\d+)")
_SEEDED = Sampling(temperature=0.7, top_p=0.95)
_GREEDY = Sampling(temperature=0.0, top_p=0.95)
_TIMEOUT_S = 14400.0


def sampling(chosen: InferenceConfig, benchmark: BenchmarkConfig, *, greedy: bool = False) -> Sampling:
    """How answers are drawn: what was chosen, else what the benchmark prescribes, else the default."""
    names = {"max_tokens": "tokens_to_generate"}
    values: dict[str, Json] = {}
    for item in dataclasses.fields(Sampling):
        name = names.get(item.name, item.name)
        found = [getattr(layer, name) for layer in (chosen, benchmark.inference)]
        values[item.name] = next((value for value in found if value not in (None, {})), None)
    if greedy:
        values["temperature"] = 0.0
    changes: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if "stop" in changes:
        changes["stop"] = tuple(changes["stop"])
    return dataclasses.replace(_GREEDY if greedy else _SEEDED, **changes)


def timeout_s(chosen: InferenceConfig, benchmark: BenchmarkConfig) -> float:
    """Seconds one request may take."""
    return chosen.timeout_s or benchmark.inference.timeout_s or _TIMEOUT_S


def settings_of(run: BenchmarkRun, model: str) -> dict[str, Json]:
    """What shapes the answers, flat, so that a difference can be named by its key. Not among them: the address, the size of
    the server, the number of jobs or seeds, and the grader."""
    prompt = {f"prompt.{name}": getattr(run.prompt, name) for name in ("user", "system", "examples")}
    template = dataclasses.asdict(run.prompt.template) if run.prompt.template else None
    code = None if run.code is None else {"config": dataclasses.asdict(run.code.config), "tags": _tags_of(run.code)}
    sets = {"prompt.example_sets": dict(run.prompt.example_sets)} if run.prompt.example_sets else {}
    drawn = {item.name: getattr(run.sampling, item.name) for item in dataclasses.fields(Sampling)}
    drawn["stop"] = list(run.sampling.stop)
    drawn["extra_body"] = dict(run.sampling.extra_body)
    scoring: dict[str, Json] = {"scoring": run.likelihood} if run.likelihood else {}
    scoring |= {"reference_logprobs": True} if run.reference else {}
    return {
        "model": model,
        **scoring,
        "split": run.split,
        "questions": run.fingerprint,
        "prompt_template": template,
        **({"chat_template": dataclasses.asdict(run.prompt.chat_template)} if run.prompt.chat_template else {}),
        "code_execution": code,
        **prompt,
        **sets,
        **{f"prompt.{name}": value for name, value in run.prompt.values.items()},
        **{f"inference.{'tokens_to_generate' if name == 'max_tokens' else name}": value for name, value in drawn.items()},
    }


def _tags_of(code: CodeRun) -> Json:
    return None if code.tags is None else dataclasses.asdict(code.tags)
