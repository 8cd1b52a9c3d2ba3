"""`ns retry OUT --truncated`: asks anew, with more room, only what was cut at its token limit; the old lines are kept."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ns_eval import generation, job_files, launch, manifest
from ns_eval.cluster import clusters
from ns_eval.cluster.job_status import current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.config import InferenceConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.files import replacing
from ns_eval.generation import Share
from ns_eval.job_commands import RetryConfig
from ns_eval.job_files import Table
from ns_eval.jobs import JobSpec, read_spec
from ns_eval.records import Json, loads
from ns_eval.runs import BenchmarkRun
from ns_eval.seed_file import SeedFile, before_retry

_ANSWERS = "ns_eval.generation:main"


def extend(config: RetryConfig) -> int:
    """Runs the jobs of the folder again, for their truncated samples alone; judges behind them judge what changed.

    Raises:
        UsageError: no limit, one that is not above the old one, or another setting beside it.
        DataError: samples are missing or failed: the run has to be finished first.
    """
    limit = _limit(config.inference)
    output_dir = Path(config.output_dir).absolute()
    table = job_files.read_table(output_dir)
    specs = [read_spec(job_files.spec_path(output_dir, job.name)).job for job in table.jobs]
    again = [_longer(spec, limit) for spec in specs]
    found = [run for spec in again for run in _runs(spec)]
    cut = {(run.folder, seed): _cut(run, seed, limit) for run in found for seed in run.seeds}
    count = sum(map(len, cut.values()))
    if not count and not _interrupted(table, specs, limit):
        print(f"nothing of {config.output_dir} is truncated below {limit} tokens", file=sys.stderr)
        return 0
    for (folder, seed), names in cut.items():
        for place in _judged_too(output_dir, folder):
            _keep(place, seed, names)
    manifest.begin(output_dir, dataclasses.asdict(config), {run.name: {"extended_to": limit} for run in found}, "")
    print(f"asking {count} truncated samples again, with {limit} tokens", file=sys.stderr)
    cluster = clusters.load(
        table.cluster,
        partition=config.partition or table.partition,
        qos=config.qos or table.qos,
        time_min=table.time_min,
    )
    submitted = launch.submit(again, cluster, output_dir, detach=config.detach)
    if config.detach:
        return 0
    outcome = "failed"
    try:
        launch.wait(submitted)
        outcome = "done"
    finally:
        manifest.end(output_dir, outcome)
    return 0


def _interrupted(table: Table, specs: Sequence[JobSpec], limit: int) -> bool:
    """Whether a retry with this limit ended before its jobs did: its answers may lie there ungraded, or unjudged."""
    same = any(run.longer == limit for spec in specs for run in _runs(spec))
    return same and any(now.state != "done" for now in current(table.jobs, Watch()))


def _limit(inference: InferenceConfig) -> int:
    if inference.tokens_to_generate is None:
        raise UsageError("how many tokens? their number is missing", hint="++inference.tokens_to_generate=8192")
    others = dataclasses.replace(inference, tokens_to_generate=None)
    if others != InferenceConfig():
        raise UsageError("only inference.tokens_to_generate may differ from the first asking, or two things would")
    return inference.tokens_to_generate


def _longer(spec: JobSpec, limit: int) -> JobSpec:
    """The job with the new limit in every benchmark that it answers; a judging job as it is."""
    if spec.target == _ANSWERS:
        return dataclasses.replace(spec, arguments=_longer_share(spec.arguments, limit))
    if "steps" not in spec.arguments:
        return spec
    steps = [
        {**step, "arguments": _longer_share(step["arguments"], limit)} if step["target"] == _ANSWERS else step
        for step in spec.arguments["steps"]
    ]
    return dataclasses.replace(spec, arguments={**spec.arguments, "steps": steps})


def _longer_share(arguments: Mapping[str, Json], limit: int) -> Mapping[str, Json]:
    share = generation.share_of(arguments, Share)
    return generation.arguments_of(dataclasses.replace(share, runs=tuple(_longer_run(run, limit) for run in share.runs)))


def _longer_run(run: BenchmarkRun, limit: int) -> BenchmarkRun:
    old = run.sampling.max_tokens
    if run.longer is None and old is None:
        raise UsageError(
            f"{run.name} had no limit but the context of its server: more tokens are not the limit's to give",
            hint="a server with a larger context, and another --output_dir",
        )
    if run.longer is None and old is not None and limit <= old:
        raise UsageError(f"inference.tokens_to_generate={limit} is not above the {old} that {run.name} had")
    return dataclasses.replace(
        run,
        longer=limit,
        sampling=dataclasses.replace(run.sampling, max_tokens=limit),
        greedy=dataclasses.replace(run.greedy, max_tokens=limit),
    )


def _runs(spec: JobSpec) -> Iterator[BenchmarkRun]:
    alone: Sequence[Mapping[str, Json]] = ({"target": spec.target, "arguments": spec.arguments},)
    steps: Sequence[Mapping[str, Json]] = spec.arguments.get("steps") or alone
    for step in steps:
        if step["target"] == _ANSWERS:
            yield from generation.share_of(step["arguments"], Share).runs


def _cut(run: BenchmarkRun, seed: int | None, limit: int) -> list[str]:
    """The questions to ask again.

    Raises:
        DataError: the seed is not complete.
    """
    file = SeedFile(run.folder, seed, longer=limit)
    file.read()
    failed = sum(line.status == "error" and line.extended is None for line in file.lines.values())
    missing = run.rows - len(file.lines)
    if failed or missing > 0:
        raise DataError(
            f"{file.path}: {max(0, missing)} samples are missing and {failed} failed",
            hint="finish the run first: the same ns eval command asks them",
        )
    return file.left(file.lines)


def _judged_too(output_dir: Path, folder: Path) -> list[Path]:
    """The benchmark's folder, and the judged one that is made of it."""
    judged = folder.parent.parent / "eval-results-judged" / folder.name
    return [folder, *([judged] if judged.is_dir() and output_dir in judged.parents else [])]


def _keep(folder: Path, seed: int | None, names: Sequence[str]) -> None:
    """Copies the lines as they are behind those of earlier retries; a line of the same question stays the first one's."""
    file = SeedFile(folder, seed)
    file.read()
    path = before_retry(folder, seed)
    kept = path.read_bytes() if path.exists() else b""
    known = {str(loads(line)["id"]) for line in kept.splitlines()}
    lines = []
    for name in names:
        if name in known or name not in file.lines:
            continue
        place = file.lines[name]
        with place.path.open("rb") as source:
            source.seek(place.offset)
            lines.append(source.read(place.length))
    if lines:
        with replacing(path) as target:
            target.write(kept + b"".join(lines))
