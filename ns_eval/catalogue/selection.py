"""Which benchmarks a command asks, and which of a category it does not, with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ns_eval import questions
from ns_eval.benchmarks import Asked, resolve
from ns_eval.catalogue import compatibility, entries
from ns_eval.catalogue.schema import CategoryConfig
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.options import EvalConfig


@dataclass(frozen=True, slots=True)
class Chosen:
    """One benchmark to be asked. `limit` questions are drawn, None: all; `timeout_s` bounds the grading of a sample."""

    asked: Asked
    limit: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One benchmark that is not asked: its status here, and why."""

    name: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """`categories` is empty where benchmarks were named: then nothing is skipped either, it is refused."""

    chosen: tuple[Chosen, ...]
    skipped: tuple[Skipped, ...] = ()
    categories: tuple[str, ...] = ()


def choose(config: EvalConfig) -> Selection:
    """What `--benchmarks`, `--category`, `--all_categories` or, without any of them, the model's own categories mean.

    Raises:
        UsageError: none of them, or several; an unknown name; a number of samples that is none.
        DataError: a benchmark that was named cannot be asked of this model; nothing of a category can.
    """
    _check(config)
    known = compatibility.facts(config.model)
    if config.benchmarks:
        asked = resolve(config.benchmarks, starting_seed=config.starting_seed, add_greedy=config.add_greedy)
        for item in asked:
            _require(known, config, item.benchmark)
        return Selection(tuple(Chosen(item, config.samples) for item in asked))
    categories = _categories(config)
    wholly = compatibility.of_model(known, config.server)
    if wholly is not None:
        raise DataError(wholly, hint="ns show models --ready")
    return _drawn(config, categories, known)


def _check(config: EvalConfig) -> None:
    ways = {
        "--benchmarks": bool(config.benchmarks),
        "--category": bool(config.category),
        "--all_categories": config.all_categories,
    }
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two ways to say what is asked: choose one")
    if config.samples is not None and config.samples < 1:
        raise UsageError(f"--samples={config.samples}: expected a positive number; leave it out for all questions")
    if config.samples is not None and config.max_samples != -1:
        raise UsageError("--samples draws questions at random, --max_samples takes the first ones: choose one")


def _categories(config: EvalConfig) -> list[CategoryConfig]:
    if config.all_categories:
        return entries.categories()
    if config.category:
        return [entries.category(name) for name in dict.fromkeys(config.category)]
    own = entries.categories_of(config.model)
    if not own:
        raise UsageError(
            f"no benchmark is named, and `{config.model}` stands in no category",
            hint="ns eval --benchmarks=arithmetic:8 …, or --category=NAME; `ns show benchmarks`, `ns show categories`",
        )
    return own


def _require(known: compatibility.Facts, config: EvalConfig, benchmark: BenchmarkConfig) -> None:
    reason = compatibility.of_model(known, config.server) or compatibility.of_benchmark(known, benchmark)
    if reason is not None:
        raise DataError(f"{benchmark.name}: {reason}", hint="ns show models --ready")


def _drawn(config: EvalConfig, categories: Sequence[CategoryConfig], known: compatibility.Facts) -> Selection:
    """Of every category its benchmarks, each once; what is not ready here is skipped."""
    folder = questions.data_dir(config.data_dir)
    chosen: list[Chosen] = []
    skipped: list[Skipped] = []
    for benchmark in entries.benchmarks_of(categories):
        status, reason = _in_the_way(benchmark, questions.readiness(benchmark, folder), known)
        if reason is not None:
            skipped.append(Skipped(benchmark.name, status, reason))
            continue
        (asked,) = resolve([benchmark.name], starting_seed=config.starting_seed, add_greedy=config.add_greedy)
        home = next(item for item in categories if benchmark in entries.benchmarks_of([item])).evaluation_config
        limit = config.samples or (home.default_sample_limit if config.max_samples == -1 else None)
        chosen.append(Chosen(asked, limit, home.timeout_per_sample))
    return Selection(tuple(chosen), tuple(skipped), tuple(item.name for item in categories))


def _in_the_way(benchmark: BenchmarkConfig, status: str, known: compatibility.Facts) -> tuple[str, str | None]:
    """(status, why it is skipped); None where it can be asked."""
    if benchmark.status in ("incompatible", "unavailable"):
        return benchmark.status, benchmark.reason
    reason = compatibility.of_benchmark(known, benchmark)
    if reason is not None:
        return "incompatible", reason
    if status == "prepared":
        return status, None
    source = " --source=PATH" if benchmark.status == "needs_source" else ""
    why = f"; {benchmark.reason}" if benchmark.reason else ""
    return status, f"not prepared: ns prepare_data {benchmark.name}{source}{why}"


def nothing(selection: Selection) -> DataError:
    """What to raise where nothing of a category can be asked."""
    reasons = "\n".join(f"  {item.name}: {item.reason}" for item in selection.skipped)
    named = ", ".join(selection.categories)
    return DataError(f"nothing of {named} can be asked:\n{reasons}", hint="ns show benchmarks --ready")


def without(selection: Selection, name: str, reason: str) -> Selection:
    """The selection with one benchmark moved to what is skipped, for what only its questions tell."""
    kept = tuple(item for item in selection.chosen if item.asked.benchmark.name != name)
    return dataclasses.replace(selection, chosen=kept, skipped=(*selection.skipped, Skipped(name, "incompatible", reason)))
