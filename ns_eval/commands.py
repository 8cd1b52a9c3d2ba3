"""One short function a command: plan, launch, say."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ns_eval import generate_plan, generation, judge_plan, launch, manifest, models, plan, rundir, servers
from ns_eval.catalogue import planning
from ns_eval.checks.login import quick
from ns_eval.checks.record import gathered
from ns_eval.cluster import clusters
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.config import ServerConfig, build
from ns_eval.errors import UsageError
from ns_eval.generation import Backend, Share
from ns_eval.job_files import logs_dir, progress_path
from ns_eval.jobs import JobSpec, in_turn
from ns_eval.judge_plan import Chained, Judging
from ns_eval.options import AskConfig, EvalConfig, GenerateConfig, PlaceConfig
from ns_eval.plan import Plan
from ns_eval.records import Json
from ns_eval.resources import locate
from ns_eval.rundir import Expected, SeedFile
from ns_eval.spending import check_budget, job_budget


def evaluate(config: EvalConfig) -> int:
    """`ns eval`: sample, grade, print the table."""
    cluster = cluster_of(config)
    found = plan.evaluation(config, num_jobs=_num_jobs(config, cluster))
    judged = judge_plan.chained(config, found)
    if config.dry_run:
        print(plan.described(found, config) + (judge_plan.described(judged) if judged else ""))
        return 0
    if config.plan:
        print(planning.text(config, found.runs, found.selection))
        return 0
    servers.require_key(config.server)
    _check_budget(config, found)
    for wrong in asyncio.run(quick(config, found.runs)):
        _say(f"{wrong.name}: {wrong.said}; {wrong.todo}")
    _prepare(config, found)
    if judged is not None:
        judge_plan.expect_all(judged, force=config.force)
    if found.selection.categories:
        planning.save(found.output_dir, found.runs, found.selection)
        _say(planning.text(config, found.runs, found.selection))
    for run in found.runs:
        seeds = f"{len(run.seeds)} seed{'' if len(run.seeds) == 1 else 's'}"
        name = f"{config.model}+{run.adapter}" if run.adapter else config.model
        _say(f"{run.name}: {run.rows} questions × {seeds}, {name} on {config.server_type}")
    for line in plan.code_lines(found):
        _say(" ".join(line.split()))
    jobs = _jobs(config, found)
    if not _run(config, cluster, _with_judging(judged, found, jobs) if judged else jobs, found):
        return 0
    for item in judged.judgings if judged else ():
        _say(f"{item.folder.name}: {judge_plan.saving(item.folder)}")
    if found.selection.categories:
        return _report(found)
    graded = [run.name for run in found.runs if run.judge or (judged and judged.of([run.folder]))]
    code = _summarize(config, found, list(dict.fromkeys(graded))) if graded else 0
    if config.adapter:
        locate("summarize.text_runs:show_adapters")(found.output_dir)
    return code


def _run(config: AskConfig, cluster: ClusterConfig, jobs: list[JobSpec], found: Plan | None = None) -> bool:
    """Starts the jobs and waits for their end; False where they were only started."""
    output_dir = Path(config.output_dir).absolute()
    submitted = launch.submit(jobs, cluster, output_dir, detach=config.detach)
    if config.detach:
        _say(f"{len(submitted)} job{'s' * (len(submitted) > 1)} started; `ns status {config.output_dir}` follows them")
        return False
    outcome, started = "done", time.time()
    try:
        launch.wait(submitted)
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        asked = gathered(logs_dir(output_dir), started)
        for folder in {output_dir, *(variant.folder for variant in (found.variants.asked if found else ()))}:
            manifest.end(folder, outcome, asked)
    for name, facts in asked.items():
        for note in facts.get("notes", ()):
            _say(f"{name}: {note}")
    return True


def generate(config: GenerateConfig) -> int:
    """`ns generate`: answer every row of a file, or judge the outputs of a run."""
    if config.generation_type != "generate":
        return _judge(config)
    cluster = cluster_of(config)
    found = generate_plan.rows(config)
    if config.dry_run:
        print(plan.described(found, config))
        return 0
    servers.require_key(config.server)
    _check_budget(config, found)
    _prepare(config, found)
    _run(config, cluster, _jobs(config, found), found)
    return 0


def _judge(config: GenerateConfig) -> int:
    cluster = cluster_of(config)
    servers.require_key(config.server)
    asked = judge_plan.judging(config, generate_plan.seeds_named(config))
    files = len(rundir.outputs(asked.source, asked.seeds))
    seeds = f"{files} file{'s' * (files > 1)} of {asked.source}"
    if config.dry_run:
        print(f"{config.model} on {config.server_type} judges {seeds}\noutput  {asked.folder}")
        return 0
    if config.rerun_done:
        rundir.set_aside(asked.folder)
    _make(asked.folder)
    judge_plan.expect_calls(asked, config, force=config.force)
    manifest.begin(asked.folder, dataclasses.asdict(config), {}, models.identity(models.weights(config.model)))
    _say(f"{config.model} on {config.server_type} judges {seeds}")
    if _run(config, cluster, [_judge_job(config, "judge", asked.folder, [asked])]):
        _say(judge_plan.saving(asked.folder))
    return 0


def _with_judging(judged: Chained, found: Plan, jobs: Sequence[JobSpec]) -> list[JobSpec]:
    """The jobs of the generation and those that judge: one behind each, or one behind all where a benchmark is dealt over
    several."""
    folders = [[run.folder for run in share] for share in found.shares]
    dealt = [folder for share in folders for folder in share]
    generating = jobs[len(jobs) - len(folders) :]
    if len(set(dealt)) < len(dealt):
        last = _judge_job(judged.command, "judge", found.output_dir, judged.judgings)
        return [*jobs, dataclasses.replace(last, after=tuple(job.name for job in generating))]
    chains = [list(jobs[: len(jobs) - len(folders)])]
    for number, (share, job) in enumerate(zip(folders, generating, strict=True)):
        name = "judge" if len(folders) == 1 else f"judge-{number}"
        behind = _judge_job(judged.command, name, found.output_dir, judged.of(share), jobs=len(folders))
        chains.append([job, dataclasses.replace(behind, after=(job.name,))] if judged.own_job else [in_turn(job, behind)])
    return [job for chain in chains for job in chain]


def _judge_job(config: GenerateConfig, name: str, output_dir: Path, judgings: Sequence[Judging], jobs: int = 1) -> JobSpec:
    backend = _backend(config, output_dir, name, config.server, jobs)
    share = judge_plan.share(config, judgings, backend, progress_path(output_dir, name))
    return _spec(config, name, "judges.judging:main", share)


def cluster_of(config: PlaceConfig) -> ClusterConfig:
    """The cluster that the command line names, its own partition, qos and time_min over the file's."""
    cluster = clusters.load(
        config.cluster, config.config_dir, partition=config.partition, qos=config.qos, time_min=config.time_min
    )
    for note in [*clusters.notes(cluster), *clusters.check_image(cluster, getattr(config, "server_container", None))]:
        _say(note)
    return cluster


def _num_jobs(config: EvalConfig, cluster: ClusterConfig) -> int:
    """One server takes everything here; on a cluster each benchmark gets a job."""
    if config.num_jobs is not None:
        return config.num_jobs
    return 1 if cluster.executor == "local" else -1


def _prepare(config: AskConfig, found: Plan) -> None:
    """The run folder as the jobs will find it: what is expected in each benchmark's folder, and this command's record."""
    _make(found.output_dir)
    for run in found.runs:
        if config.rerun_done:
            rundir.set_aside(run.folder)
            for kind in ("eval-results-judged", "eval-results-genselect") if run.split else ():
                rundir.set_aside(run.folder.parent.parent / kind / run.name)
        expected = Expected(run.name, run.rows, run.seeds, run.metric_type, run.settings, run.judge, run.upstream_rows)
        rundir.expect(run.folder, expected, force=config.force)
    benchmarks = {
        run.name: {"split": run.split, "questions": run.fingerprint, "seeds": list(run.seeds)} for run in found.runs
    }
    several = {str(v.folder.relative_to(found.output_dir)): v.identity for v in found.variants.asked if config.adapter}
    if several:
        identity = models.identity(found.model)
        manifest.begin(found.output_dir, dataclasses.asdict(config), benchmarks, identity, several)
    for variant in found.variants.asked:
        manifest.begin(variant.folder, dataclasses.asdict(config), benchmarks, variant.identity)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir={folder} cannot be made: {error.strerror}") from error


def _jobs(config: EvalConfig | GenerateConfig, found: Plan) -> list[JobSpec]:
    names = ["generate"] if len(found.shares) == 1 else [f"generate-{number}" for number in range(len(found.shares))]
    merges = _merges(found)
    jobs = [_job(config, found, number, name) for number, name in enumerate(names)]
    return [*merges, *(dataclasses.replace(job, after=tuple(merge.name for merge in merges)) for job in jobs)]


def _merges(found: Plan) -> list[JobSpec]:
    """The jobs that make a model of base and adapter, where something is left to ask it."""
    left = {
        run.adapter for run in found.runs if not all(SeedFile(run.folder, seed).done_marker.exists() for seed in run.seeds)
    }
    return [
        JobSpec(f"merge-{name}", "ns_eval.conversion:run_job", dataclasses.asdict(merge))
        for name, merge in found.variants.merges.items()
        if name in left
    ]


def _job(config: EvalConfig | GenerateConfig, found: Plan, number: int, name: str) -> JobSpec:
    share = Share(
        runs=found.shares[number],
        backend=_backend(config, found.output_dir, name, found.variants.server, len(found.shares)),
        sandbox=config.sandbox,
        grading_workers=config.grading_workers if isinstance(config, EvalConfig) else None,
        progress=progress_path(found.output_dir, name),
        merged={adapter: merge.output_model for adapter, merge in found.variants.merges.items()},
    )
    return _spec(config, name, "ns_eval.generation:main", share)


def _check_budget(config: AskConfig, found: Plan) -> None:
    limits = [drawn.max_tokens or config.server.context for run in found.runs for drawn in (run.sampling, run.greedy)]
    check_budget(config.budget_usd, config.price, limits)


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
    )


def _spec(config: AskConfig, name: str, target: str, share: object) -> JobSpec:
    return JobSpec(
        name=name,
        target=target,
        arguments=generation.arguments_of(share),
        gpus=config.server.gpus or 0,
        nodes=config.server.nodes,
        container=config.server_container or config.server_type or "ns-eval",
        secrets=tuple(filter(None, [servers.key_variable(config.server)])),
    )


def _report(found: Plan) -> int:
    """The score of each category, what ran and what did not; the tables of each benchmark are a command away."""
    folders = [str(variant.folder) for variant in found.variants.asked]
    schema = locate("summarize.category:CategoryReportConfig")
    values: dict[str, Json] = {"results_dirs": folders, "category": list(found.selection.categories)}
    code = int(locate("summarize.category:main")(build(schema, values, "category_report")) or 0)
    print(f"every benchmark's table: ns summarize_results {' '.join(folders)}")
    return code


def _summarize(config: EvalConfig, found: Plan, graded: list[str]) -> int:
    """The table of what this command asked and something graded, as `ns summarize_results` prints it."""
    schema = locate("summarize.results:ResultsConfig")
    values: dict[str, Json] = {
        "results_dirs": [str(variant.folder) for variant in found.variants.asked],
        "benchmarks": graded,
        "min_coverage": config.min_coverage,
    }
    return int(locate("summarize.results:main")(build(schema, values, "summarize_results")) or 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
