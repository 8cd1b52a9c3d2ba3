"""How the work of a plan is dealt: chunks of the questions, and (benchmark, chunk, seed) over jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ns_eval import runs
from ns_eval.errors import UsageError
from ns_eval.options import AskConfig
from ns_eval.runs import BenchmarkRun


def deal(found: Sequence[BenchmarkRun], num_jobs: int) -> tuple[tuple[BenchmarkRun, ...], ...]:
    """(benchmark, chunk, seed) dealt evenly over jobs; -1 is one job a benchmark and chunk. No job is left empty."""
    if num_jobs == -1:
        parts = dict.fromkeys((run.name, run.chunk) for run in found)
        return tuple(tuple(run for run in found if (run.name, run.chunk) == part) for part in parts)
    if num_jobs < 1:
        raise UsageError(f"--num_jobs={num_jobs}: expected a positive number, or -1 for one job a benchmark")
    shares: list[dict[int, list[int | None]]] = [{} for _ in range(num_jobs)]
    pairs = [(index, seed) for index, run in enumerate(found) for seed in run.seeds]
    for turn, (index, seed) in enumerate(pairs):
        shares[turn * num_jobs // len(pairs)].setdefault(index, []).append(seed)
    return tuple(tuple(found[index].with_seeds(seeds) for index, seeds in share.items()) for share in shares if share)


def chunked(found: Sequence[BenchmarkRun], config: AskConfig) -> tuple[BenchmarkRun, ...]:
    """Every run once for each chunk of its questions that is asked; as it is where it has no chunks.

    Raises:
        UsageError: no such chunk, or more chunks than questions.
    """
    asked = chunks(config)
    fewest = min(found, key=lambda run: run.rows)
    if config.num_chunks is not None and config.num_chunks > fewest.rows:
        raise UsageError(f"--num_chunks={config.num_chunks}: {fewest.name} has {fewest.rows} questions")
    return tuple(dataclasses.replace(run, chunk=chunk) for run in found for chunk in asked)


def chunks(config: AskConfig) -> tuple[tuple[int, int] | None, ...]:
    """(which, of how many) of every chunk that the command asks; only None where it has no chunks.

    Raises:
        UsageError: no such chunk.
    """
    count = config.num_chunks
    if count is None:
        if config.chunk_ids is not None:
            raise UsageError(f"--chunk_ids={config.chunk_ids}: of how many?", hint="add --num_chunks=N")
        return (None,)
    if count < 1:
        raise UsageError(f"--num_chunks={count}: expected a positive number")
    asked = runs.numbers(config.chunk_ids, "chunk_ids") if config.chunk_ids else list(range(count))
    for number in asked:
        if number >= count:
            raise UsageError(f"--chunk_ids={config.chunk_ids}: {number} is no chunk of {count}, they are 0 to {count - 1}")
    return tuple((number, count) for number in dict.fromkeys(asked))
