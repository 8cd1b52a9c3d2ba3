"""One short function a command: plan, launch, say."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ns_eval import (
    dealing,
    generate_plan,
    job_files,
    judge_plan,
    launch,
    manifest,
    models,
    plan,
    plan_text,
    rundir,
    servers,
    stages,
)
from ns_eval.catalogue import planning
from ns_eval.checks.login import quick
from ns_eval.checks.record import gathered
from ns_eval.cluster import clusters
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.errors import CoverageError, NsError, UsageError
from ns_eval.job_files import Submitted, logs_dir
from ns_eval.jobs import run_command
from ns_eval.judge_plan import Chained, Judging
from ns_eval.options import AskConfig, EvalConfig, GenerateConfig, PlaceConfig
from ns_eval.plan import Plan
from ns_eval.records import Json
from ns_eval.resources import locate
from ns_eval.rundir import Expected
from ns_eval.schema import build
from ns_eval.spending import check_budget, reached


def evaluate(config: EvalConfig) -> int:
    """`ns eval`: sample, grade, print the table."""
    cluster = cluster_of(config)
    found = plan.evaluation(config, num_jobs=_num_jobs(config, cluster))
    judged = judge_plan.chained(config, found)
    if config.dry_run:
        print(plan_text.described(found, config) + (judge_plan.described(judged) if judged else ""))
        return 0
    if config.plan:
        print(planning.text(config, found.runs, found.selection))
        return 0
    _check_start(config, found)
    began = time.time()
    for wrong in asyncio.run(quick(config, found.runs)):
        _say(f"{wrong.name}: {wrong.said}; {wrong.todo}")
    asked = _table_of(config, found, judged)
    with _entered(found, judged.judgings if judged else ()) as suffix:
        _prepare(config, found)
        if judged is not None:
            judge_plan.expect_all(judged, force=config.force)
        _announce(config, found)
        jobs = stages.evaluation(config, found, judged, suffix)
        if config.detach and config.chunk_ids is None and asked["benchmarks"]:
            jobs += [stages.table(asked, _folders(found), f"table{suffix}", jobs)]
        submitted = launch.submit(jobs, cluster, found.output_dir, detach=config.detach)
    with _within_budget(found.output_dir, began):
        return _concluded(config, found, judged, asked) if _awaited(config, submitted, _folders(found)) else 0


def _concluded(config: EvalConfig, found: Plan, judged: Chained | None, asked: Mapping[str, Json]) -> int:
    """What a finished evaluation prints: tables, or what is still to be done for them."""
    if config.chunk_ids is not None:
        _say(f"chunks {config.chunk_ids} are done; with the others: ns summarize_results {config.output_dir}")
        return 0
    for item in judged.judgings if judged else ():
        _say(f"{item.folder.name}: {judge_plan.saving(item.folder)}")
    if found.selection.categories:
        return _report(found)
    code = _summarize(asked) if asked["benchmarks"] else 0
    if config.adapter:
        locate("summarize.text_runs:show_adapters")(found.output_dir)
    return code


def _announce(config: EvalConfig, found: Plan) -> None:
    """What is asked of whom, and whose words a model with code hears."""
    if found.selection.categories:
        planning.save(found.output_dir, found.runs, found.selection)
        _say(planning.text(config, found.runs, found.selection))
    for run in found.runs:
        seeds = f"{len(run.seeds)} seed{'' if len(run.seeds) == 1 else 's'}"
        name = f"{config.model}+{run.adapter}" if run.adapter else config.model
        _say(f"{run.name}: {run.rows} questions × {seeds}, {name} on {config.server_type}")
    for line in plan_text.code_lines(found.runs):
        _say(f"code: {line}")


@contextlib.contextmanager
def _entered(found: Plan, judgings: Sequence[Judging] = ()) -> Iterator[str]:
    """The run folder while jobs are added to it, and what their names end with.

    Raises:
        JobError: jobs of an earlier command write the same files.
    """
    _make(found.output_dir)
    files = [file for share in found.shares for run in share for file in run.files]
    with job_files.locked(found.output_dir):
        yield launch.suffix(found.output_dir, [*files, *(judging.files for judging in judgings)])


def _awaited(config: AskConfig, submitted: Sequence[Submitted], folders: Iterable[Path]) -> bool:
    """Waits for the jobs' end and records it in each of the run folders; False where they were only started."""
    if config.detach:
        _say(f"{len(submitted)} job{'s' * (len(submitted) > 1)} started; `ns status {config.output_dir}` follows them")
        return False
    outcome, started = "done", time.time()
    logs = logs_dir(Path(config.output_dir).absolute())
    try:
        launch.wait(submitted)
        if reached(logs, started):
            outcome = "BudgetError"
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        asked = gathered(logs, started)
        for folder in folders:
            manifest.end(folder, outcome, asked)
    for name, facts in asked.items():
        for note in facts.get("notes", ()):
            _say(f"{name}: {note}")
    return True


def _folders(found: Plan) -> list[Path]:
    """Every run folder that a command fills."""
    return list(dict.fromkeys([found.output_dir, *(variant.folder for variant in found.variants.asked)]))


def generate(config: GenerateConfig) -> int:
    """`ns generate`: answer every row of a file, or judge the outputs of a run."""
    if config.preprocess_cmd and not config.dry_run:
        run_command(config.preprocess_cmd)
    if config.generation_type != "generate" or config.generation_module:
        return _judge(config)
    cluster = cluster_of(config)
    found = generate_plan.rows(config, num_jobs=config.num_jobs or (1 if config.num_chunks is None else -1))
    if config.dry_run:
        print(plan_text.described(found, config))
        return 0
    _check_start(config, found)
    began = time.time()
    with _entered(found) as suffix:
        _prepare(config, found)
        jobs = stages.and_then(config, stages.generation(config, found, suffix))
        submitted = launch.submit(jobs, cluster, found.output_dir, detach=config.detach)
    with _within_budget(found.output_dir, began):
        _awaited(config, submitted, _folders(found))
    return 0


def _judge(config: GenerateConfig) -> int:
    cluster = cluster_of(config)
    servers.require_key(config.server)
    asked = judge_plan.judging(config, generate_plan.seeds_named(config))
    parts = [dataclasses.replace(asked, chunk=chunk) for chunk in dealing.chunks(config)]
    files = len(rundir.outputs(asked.source, asked.seeds))
    seeds = f"{files} file{'s' * (files > 1)} of {asked.source}"
    if config.dry_run:
        print(f"{config.model} on {config.server_type} judges {seeds}\noutput  {asked.folder}")
        return 0
    if config.rerun_done:
        rundir.set_aside(asked.folder)
    began = time.time()
    _make(asked.folder)
    judge_plan.expect_calls(asked, config, force=config.force)
    manifest.begin(asked.folder, dataclasses.asdict(config), {}, models.identity(models.weights(config.model)))
    _say(f"{config.model} on {config.server_type} judges {seeds}")
    with job_files.locked(asked.folder):
        name = f"judge{launch.suffix(asked.folder, [part.files for part in parts])}"
        names = [name if part.chunk is None else f"{name}-{part.chunk[0]}" for part in parts]
        jobs = [
            stages.judging(config, job, asked.folder, [part], len(parts)) for job, part in zip(names, parts, strict=True)
        ]
        (asked.folder / "judging.json").unlink(missing_ok=True)  # the sentence of what is judged now, or of nothing
        submitted = launch.submit(stages.and_then(config, jobs), cluster, asked.folder, detach=config.detach)
    with _within_budget(asked.folder, began):
        if not _awaited(config, submitted, [asked.folder]):
            return 0
        others = f"the calls of chunks {config.chunk_ids} are done; the last of the other chunks writes the judged files"
        _say(judge_plan.saving(asked.folder) or others)
    return 0


def cluster_of(config: PlaceConfig) -> ClusterConfig:
    """The cluster that the command line names, its own partition, qos and time_min over the file's."""
    cluster = clusters.load(
        config.cluster, config.config_dir, partition=config.partition, qos=config.qos, time_min=config.time_min
    )
    for note in clusters.notes(cluster, getattr(config, "server_container", None)):
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


@contextlib.contextmanager
def _within_budget(output_dir: Path, since: float) -> Iterator[None]:
    """Around what shows the end of a command: what its budget left unasked is said last, and before what is missing for it.

    Raises:
        BudgetError: a job was stopped by its budget since then, in Unix seconds.
    """
    missing: CoverageError | None = None
    try:
        yield
    except CoverageError as error:
        missing = error
    if stopped := reached(logs_dir(output_dir), since):
        raise stopped from missing
    if missing:
        raise missing


def _check_start(config: AskConfig, found: Plan) -> None:
    """What no job may start without: the server's key, and prices where money is bounded."""
    servers.require_key(config.server)
    limits = [drawn.max_tokens or config.server.context for run in found.runs for drawn in (run.sampling, run.greedy)]
    check_budget(config.budget_usd, config.price, limits)


def _report(found: Plan) -> int:
    """The score of each category, what ran and what did not; the tables of each benchmark are a command away."""
    folders = [str(variant.folder) for variant in found.variants.asked]
    schema = locate("summarize.category:CategoryReportConfig")
    values: dict[str, Json] = {"results_dirs": folders, "category": list(found.selection.categories)}
    code = int(locate("summarize.category:main")(build(schema, values, "category_report")) or 0)
    print(f"every benchmark's table: ns summarize_results {' '.join(folders)}")
    return code


def _table_of(config: EvalConfig, found: Plan, judged: Chained | None) -> dict[str, Json]:
    """The table of what this command asked and something graded."""
    graded = [run.name for run in found.runs if run.judge or (judged and judged.of([run.folder]))]
    return {
        "results_dirs": [str(variant.folder) for variant in found.variants.asked],
        "benchmarks": list(dict.fromkeys(graded)),
        "min_coverage": config.min_coverage,
    }


def table(asked: Mapping[str, Json], folders: Sequence[str], since: float) -> None:
    """The job behind `--detach` that prints the table into its log and writes metrics.json.

    `since` is when the command was given, in Unix seconds.

    Raises:
        CoverageError: too small a share of the samples was graded.
        BudgetError: a job was stopped by its budget.
    """
    outcome = "done"
    try:
        with _within_budget(Path(folders[0]), since):
            _summarize(asked)
    except NsError as error:
        outcome = type(error).__name__
        raise
    finally:
        for folder in folders:
            manifest.end(Path(folder), outcome, gathered(logs_dir(Path(folders[0])), since))


def _summarize(asked: Mapping[str, Json]) -> int:
    """As `ns summarize_results` prints it."""
    schema = locate("summarize.results:ResultsConfig")
    return int(locate("summarize.results:main")(build(schema, dict(asked), "summarize_results")) or 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
