"""The stages of a plan as jobs: merge, generate, judge, table, the user's own command, each behind those that it needs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ns_eval import judge_plan, models, servers
from ns_eval.config import ServerConfig
from ns_eval.generation import Backend, Share, arguments_of
from ns_eval.job_files import logs_dir, progress_path
from ns_eval.jobs import JobSpec, in_turn
from ns_eval.judge_plan import Chained, Judging
from ns_eval.options import AskConfig, EvalConfig, GenerateConfig
from ns_eval.plan import Plan
from ns_eval.records import Json
from ns_eval.seed_file import SeedFile
from ns_eval.spending import job_budget

_GENERATION = "ns_eval.generation:main"


def evaluation(config: EvalConfig, found: Plan, judged: Chained | None, suffix: str) -> list[JobSpec]:
    """The jobs that ask and grade, and those of a judge behind them; `suffix` ends their names."""
    jobs = generation(config, found, suffix)
    return jobs if judged is None else _with_judging(judged, found, jobs, suffix)


def generation(config: EvalConfig | GenerateConfig, found: Plan, suffix: str) -> list[JobSpec]:
    """The jobs of a plan, then `--dependent_jobs` times those that do what these leave undone."""
    jobs = _merges(found, suffix)
    merges = [job.name for job in jobs]
    before: list[str] = []
    for turn in range(1 + config.dependent_jobs):
        stage = f"generate{suffix}-rest{turn}" if turn else f"generate{suffix}"
        numbers = range(len(found.shares))
        names = [stage] if len(found.shares) == 1 else [f"{stage}-{number}" for number in numbers]
        for number, name, continues in zip(numbers, names, before or [""] * len(names), strict=True):
            job = _job(config, found, number, name)
            after = tuple(before or merges)
            jobs.append(dataclasses.replace(job, after=after, even_if_failed=bool(before), continues=continues))
        before = names
    return jobs


def _merges(found: Plan, suffix: str) -> list[JobSpec]:
    """The jobs that make a model of base and adapter, where something is left to ask it."""
    left = {
        run.adapter for run in found.runs if not all(SeedFile(run.folder, seed).done_marker.exists() for seed in run.seeds)
    }
    return [
        JobSpec(f"merge{suffix}-{name}", "ns_eval.conversion:run_job", dataclasses.asdict(merge))
        for name, merge in found.variants.merges.items()
        if name in left
    ]


def _job(config: EvalConfig | GenerateConfig, found: Plan, number: int, name: str) -> JobSpec:
    runs = found.shares[number]
    share = Share(
        runs=runs,
        backend=_backend(config, found.output_dir, name, found.variants.server, len(found.shares)),
        sandbox=config.sandbox,
        grading_workers=config.grading_workers if isinstance(config, EvalConfig) else None,
        progress=progress_path(found.output_dir, name),
        merged={adapter: merge.output_model for adapter, merge in found.variants.merges.items()},
    )
    return _spec(config, name, _GENERATION, share, [file for run in runs for file in run.files])


def _with_judging(judged: Chained, found: Plan, jobs: Sequence[JobSpec], suffix: str) -> list[JobSpec]:
    """The jobs of the generation and those that judge: one behind each, or one behind all where a benchmark is dealt over
    several."""
    folders = [[run.folder for run in share] for share in found.shares]
    dealt = [folder for share in folders for folder in share]
    last = jobs[len(jobs) - len(folders) :]
    if len(set(dealt)) < len(dealt):
        behind_all = judging(judged.command, f"judge{suffix}", found.output_dir, judged.judgings)
        return [*jobs, dataclasses.replace(behind_all, after=tuple(job.name for job in last))]
    names = [f"judge{suffix}"] if len(folders) == 1 else [f"judge{suffix}-{number}" for number in range(len(folders))]
    behind = [
        judging(judged.command, name, found.output_dir, judged.of(share), jobs=len(folders))
        for name, share in zip(names, folders, strict=True)
    ]
    if judged.own_job:
        return [*jobs, *(dataclasses.replace(job, after=(one.name,)) for job, one in zip(behind, last, strict=True))]
    merges = [job for job in jobs if job.target != _GENERATION]
    generating = jobs[len(merges) :]
    return [*merges, *(in_turn(job, behind[number % len(folders)]) for number, job in enumerate(generating))]


def judging(config: GenerateConfig, name: str, output_dir: Path, judgings: Sequence[Judging], jobs: int = 1) -> JobSpec:
    """The job that judges what lies in the folders of `judgings`; one of `jobs` that share a budget."""
    backend = _backend(config, output_dir, name, config.server, jobs)
    share = judge_plan.share(config, judgings, backend, progress_path(output_dir, name))
    return _spec(config, name, "judges.judging:main", share, [item.files for item in judgings])


def table(asked: Mapping[str, Json], folders: Sequence[Path], name: str, jobs: Sequence[JobSpec]) -> JobSpec:
    """The job that makes the table when those before it are done: behind `--detach` nobody waits for that."""
    continued = {job.continues for job in jobs}
    after = tuple(job.name for job in jobs if job.name not in continued)
    arguments = {"asked": asked, "folders": [str(folder) for folder in folders], "since": time.time()}
    return JobSpec(name=name, target="ns_eval.commands:table", arguments=arguments, after=after)


def and_then(config: GenerateConfig, jobs: list[JobSpec]) -> list[JobSpec]:
    """The jobs, and the user's own command behind them."""
    if not config.postprocess_cmd:
        return jobs
    words = [word.replace("{output_dir}", str(Path(config.output_dir).absolute())) for word in config.postprocess_cmd]
    last = JobSpec("postprocess", "ns_eval.jobs:run_command", {"argv": words}, after=tuple(job.name for job in jobs))
    return [*jobs, last]


def _backend(config: AskConfig, output_dir: Path, job: str, server: ServerConfig, jobs: int) -> Backend:
    log = logs_dir(output_dir) / f"{job}.server.log"
    return Backend(
        model=config.model,
        path=models.weights(config.model),
        server=server,
        max_concurrent_requests=config.max_concurrent_requests,
        log=log,
        price=config.price,
        most_usd=job_budget(config.budget_usd, log, jobs),
        dealt=Path(config.shared_budget) if config.shared_budget else None,
    )


def _spec(config: AskConfig, name: str, target: str, share: object, writes: Sequence[str]) -> JobSpec:
    return JobSpec(
        name=name,
        target=target,
        arguments=arguments_of(share),
        gpus=config.server.gpus or 0,
        nodes=config.server.nodes,
        container=config.server_container or config.server_type or "ns-eval",
        secrets=tuple(filter(None, [servers.key_variable(config.server)])),
        writes=tuple(writes),
    )
