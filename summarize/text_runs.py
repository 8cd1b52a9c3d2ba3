"""Base against adapter from the output files of their runs: what `ns eval --adapter` writes, and `ns compare` prints.

<output_dir>/comparison/baseline_results.json  peft_results.json  comparison.json
<output_dir>/comparison/<benchmark>+<adapter>/…          where there are several of them
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ns_eval import benchmarks, manifest, questions
from ns_eval.errors import DataError, UsageError
from ns_eval.grading import build_judge
from ns_eval.records import Json, Sample, read_jsonl, read_record, sample_from_row
from ns_eval.scores import find_outputs
from summarize import text_likelihood
from summarize.discover import discover
from summarize.text import Evaluator
from summarize.text_results import Comparison, Evaluation

if TYPE_CHECKING:
    from summarize.comparing import CompareConfig

TYPE = "text"
# What may differ between a base and its adapter.
_OWN_SETTINGS = ("model", "adapter")


@dataclass(frozen=True, slots=True)
class Extra:
    """What is compared beside the judge's own metrics: meaning, by the model that is named; how likely the references are;
    the metrics of an installed nemo-evaluator."""

    similarity: str | None = None
    perplexity: bool = False
    nemo_evaluator: bool = False

    @property
    def metrics(self) -> list[str]:
        """Their names for the Evaluator."""
        asked = {
            "semantic_similarity": self.similarity,
            "perplexity": self.perplexity,
            "nemo_evaluator": self.nemo_evaluator,
        }
        return [name for name, wanted in asked.items() if wanted]


NOTHING = Extra()


def extra_of(config: CompareConfig) -> Extra:
    """What a command asks for."""
    return Extra(config.semantic_similarity_model, config.perplexity, config.nemo_evaluator)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One benchmark of one adapter and its base."""

    benchmark: str
    adapter: str
    base: Evaluation
    peft: Evaluation
    comparison: Comparison

    def write(self, folder: Path) -> None:
        """The three files."""
        self.base.to_json(folder / "baseline_results.json")
        self.peft.to_json(folder / "peft_results.json")
        self.comparison.to_json(folder / "comparison.json")


@dataclass(frozen=True, slots=True)
class _Run:
    """One benchmark's folder: what it was asked for, and its answers by (question, seed)."""

    folder: Path
    expected: Mapping[str, Json]
    samples: Mapping[tuple[str, int | None], Sample]


def compare_run(output_dir: Path, extra: Extra = NOTHING, only: Sequence[str] = ()) -> list[Outcome]:
    """Every adapter of a run against its base, on every benchmark of texts; writes and returns what was found.

    Raises:
        DataError: no base beside the adapters; see `compare_folders`.
    """
    folders = [output_dir / name for entry in manifest.read(output_dir).commands[-1:] for name in entry.folders]
    bases = [folder for folder in folders if "+" not in folder.name and folder.is_dir()]
    if len(folders) < 2 or not bases:
        return []
    base = bases[0]
    found = [
        outcome
        for folder in folders
        if folder.is_dir() and folder != base
        for outcome in compare_folders(base, folder, extra, only)
    ]
    home = output_dir / "comparison"
    for outcome in found:
        outcome.write(home if len(found) == 1 else home / f"{outcome.benchmark}+{outcome.adapter}")
    return found


def compare_folders(base: Path, peft: Path, extra: Extra = NOTHING, only: Sequence[str] = ()) -> Iterator[Outcome]:
    """Two run folders, the base's first, on every benchmark of texts that both have.

    Raises:
        DataError: other questions or other settings (the key is named); an adapter that changes no answer.
    """
    ours, theirs = ({item.name: item.folder for item in discover(path, only).benchmarks} for path in (base, peft))
    for name, folder in ours.items():
        if name in theirs and _is_text(folder):
            yield _compared(name, _read(folder), _read(theirs[name]), peft.name.rpartition("+")[2], extra)


def are_texts(runs: Sequence[Path], only: Sequence[str] = ()) -> bool:
    """Whether all benchmarks of the runs are scored by text metrics."""
    return all(_is_text(item.folder) for run in runs for item in discover(run, only).benchmarks)


def show(runs: Sequence[Path], extra: Extra, only: Sequence[str], form: str) -> None:
    """Prints the outcomes."""
    found = outcomes(runs, extra, only)
    if form == "json":
        print("[" + ",\n".join(outcome.comparison.to_json() for outcome in found) + "]")
        return
    for outcome in found:
        print(f"{outcome.benchmark}, adapter {outcome.adapter}\n{outcome.comparison!r}")


def outcomes(runs: Sequence[Path], extra: Extra = NOTHING, only: Sequence[str] = ()) -> list[Outcome]:
    """The first run against every other one; the folders of one `ns eval --adapter` get their files written anew.

    Raises:
        DataError: see `compare_folders`.
    """
    base, *others = runs
    if all(path.parent == base.parent and path.name.startswith(f"{base.name}+") for path in others):
        return compare_run(base.parent, extra, only)
    return [outcome for path in others for outcome in compare_folders(base, path, extra, only)]


def show_adapters(output_dir: Path) -> None:
    """What `ns eval --adapter` prints below its tables: base against adapter on texts, where there are any."""
    found = compare_run(output_dir)
    for outcome in found:
        print(f"{outcome.benchmark}, adapter {outcome.adapter}\n{outcome.comparison!r}")
    if found:
        print(f"The comparison is saved to {output_dir / 'comparison'}")


def _is_text(folder: Path) -> bool:
    return bool(_expected(folder).get("metric_type") == TYPE)


def _compared(name: str, base: _Run, peft: _Run, adapter: str, extra: Extra) -> Outcome:
    _require_same_settings(name, base, peft)
    keys, notes = _paired(name, base, peft)
    judge = build_judge(base.expected["judge"])
    texts = [[judge.text(run.samples[key].generation) for key in keys] for run in (base, peft)]
    if texts[0] == texts[1]:
        raise DataError(
            f"{name}: the adapter {adapter} does nothing: all {len(keys)} answers are the base's, letter for letter",
            hint="its weights may be zeros, or the server did not load it: compare its sha256, and see eval-logs/",
        )
    evaluator = _evaluator(base.expected["judge"], extra)
    wanted = [judge.references(base.samples[key].question) for key in keys]
    first, second = (
        evaluator.evaluate(own, wanted, ids=[question for question, _ in keys], **_beside(run, keys, extra))
        for own, run in zip(texts, (base, peft), strict=True)
    )
    comparison = evaluator.compare(first, second)
    problems = [base.samples[key].question.problem for key in keys]
    told = [text_likelihood.source([base.samples[key] for key in keys])] if extra.perplexity else []
    every = (*comparison.notes, *told, *notes, *_leaked(name, problems, base.folder))
    return Outcome(name, adapter, first, second, dataclasses.replace(comparison, notes=every))


def _evaluator(judge: Mapping[str, Any], extra: Extra) -> Evaluator:
    return Evaluator(
        [*judge["metrics"], *extra.metrics],
        extra.similarity or "sbert",
        judge["rouge_types"],
        use_stemmer=judge["use_stemmer"],
    )


def _expected(folder: Path) -> Mapping[str, Json]:
    return read_record(folder / "expected.json", dict) or {}


def _read(folder: Path) -> _Run:
    samples = {}
    for output in find_outputs(folder):
        for path in output.paths:
            for _, row in read_jsonl(path):
                sample = sample_from_row(row)
                samples[sample.question.id, sample.seed] = sample
    return _Run(folder, _expected(folder), samples)


def _require_same_settings(name: str, base: _Run, peft: _Run) -> None:
    ours, theirs = base.expected.get("settings") or {}, peft.expected.get("settings") or {}
    keys = [*ours, *(key for key in theirs if key not in ours)]
    for key in keys:
        if key not in _OWN_SETTINGS and ours.get(key) != theirs.get(key):
            raise DataError(
                f"{name}: `{key}` is {ours.get(key)!r:.80} for {base.folder} and {theirs.get(key)!r:.80} for {peft.folder}",
                hint="ns eval --model=… --adapter=NAME:FOLDER asks both alike",
            )


def _paired(name: str, base: _Run, peft: _Run) -> tuple[list[tuple[str, int | None]], list[str]]:
    """The answers that both have: the greedy one of each question, else that of the first seed of both."""
    shared = {seed for _, seed in base.samples} & {seed for _, seed in peft.samples}
    seeds = sorted(shared, key=lambda seed: -1 if seed is None else seed)
    if not seeds:
        raise DataError(f"{name}: {base.folder} and {peft.folder} have no seed in common")
    chosen = [key for key in base.samples if key[1] == seeds[0]]
    usable = [key for key in chosen if all(_answered(run.samples.get(key)) for run in (base, peft))]
    if not usable:
        raise DataError(f"{name}: no question was answered by both", hint="`ns status` says what failed")
    notes = []
    if len(seeds) > 1:
        counted = "the greedy answer counts" if seeds[0] is None else f"the answer of seed {seeds[0]} counts"
        notes.append(f"of {len(seeds)} samples of each question {counted}")
    if len(usable) < len(chosen):
        notes.append(f"left out: {len(chosen) - len(usable)} questions that failed for one of the two")
    for label, run in (("base", base), ("PEFT", peft)):
        cut = sum(run.samples[key].status == "truncated" for key in usable)
        notes += [f"{label}: {cut} of {len(usable)} answers ended at the token limit"] if cut else []
    return usable, notes


def _answered(sample: Sample | None) -> bool:
    return sample is not None and sample.status not in ("error", "filtered")


def _beside(run: _Run, keys: Sequence[tuple[str, int | None]], extra: Extra) -> dict[str, Any]:
    """What the Evaluator is given beside the texts: speed, and log-probabilities of the references."""
    samples = [run.samples[key] for key in keys]
    tokens = [sample.generation.completion_tokens for sample in samples]
    known: dict[str, Any] = {"tokens": tokens} if None not in tokens else {}
    if extra.perplexity:
        settings = run.expected.get("settings") or {}
        known["reference_logprobs"] = text_likelihood.of_run(run.folder.parent.parent, settings, samples)
    return {"seconds": [sample.generation.seconds for sample in samples], **known}


def _leaked(name: str, problems: Sequence[str], folder: Path) -> list[str]:
    """How many of the questions stand in the train split too, where that is prepared."""
    try:
        benchmark = benchmarks.find(name)
    except UsageError:
        return []
    if "train" not in (benchmark.prepare.get("splits") or {}):
        return []
    path = questions.split_file(benchmark, "train", questions.data_dir(_data_dir(folder)))
    if not path.is_file():
        return [f"overlap with the train split is not known: {path} is not prepared"]
    train = {_bare(str(row.get("problem"))) for _, row in read_jsonl(path)}
    shared = sum(_bare(problem) in train for problem in problems)
    return [f"{shared} of {len(problems)} questions stand in the train split ({len(train)} questions) too"]


def _data_dir(folder: Path) -> str | None:
    entries = manifest.read(folder.parent.parent).commands
    found = entries[-1].config.get("data_dir") if entries else None
    return str(found) if found else None


def _bare(text: str) -> str:
    return " ".join(text.casefold().split())
