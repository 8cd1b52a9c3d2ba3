"""config -> what the judging jobs will do: the outputs of a run that is there, or of the generation they wait for."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns_eval import benchmarks, models, nemo_skills, plan, rundir, runs, servers
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose, flatten, overrides
from ns_eval.config import BenchmarkConfig
from ns_eval.engines.request_fields import check_fields
from ns_eval.errors import UsageError, suggest
from ns_eval.generation import Backend
from ns_eval.grading import asks_a_model, build_judge
from ns_eval.options import ASK_SPELLINGS, EvalConfig, GenerateConfig
from ns_eval.plan import Plan
from ns_eval.records import Json, Sampling, dumps, loads, read_jsonl
from ns_eval.resources import conf_file, conf_names
from ns_eval.rundir import Expected
from ns_eval.runs import BenchmarkRun
from ns_eval.schema import load_yaml
from ns_eval.spending import check_budget

logger = logging.getLogger(__name__)

# A judge thinks before it speaks: 2,048 tokens, the parent's limit, cut reasoning judges off.
_JUDGE_TOKENS = 8192
_SELECTING = "genselect"
_MEMBERS = (
    *("name", "part_columns", "prompt_hash", "response_format", "spec", "settings", "shortcut", "call_key", "asks_of"),
    *("shown", "messages", "retry", "verdict", "judgement"),
)
# What `++judge.NAME` of `ns eval` says of the command; every other name is a switch of the judge.
_OF_THE_COMMAND = (
    "model",
    "server_type",
    "server_container",
    "server",
    "inference",
    "chat_template_kwargs",
    "max_concurrent_requests",
    "price",
    "budget_usd",
    "shared_budget",
    *(alias for alias in ASK_SPELLINGS.aliases if alias.startswith("server_")),
)


@dataclass(frozen=True, slots=True)
class Judging:
    """One folder of outputs. `seeds` None is every output*.jsonl; `judge` builds the judge on a node without conf/;
    `chunk` is (which, of how many) parts of the distinct calls."""

    source: Path
    seeds: tuple[int | None, ...] | None
    folder: Path
    judge: Mapping[str, Json]
    baseline: Path | None = None
    chunk: tuple[int, int] | None = None

    @property
    def files(self) -> str:
        """What is written: two jobs must not write the same."""
        return f"{self.folder}#{self.chunk[0]}/{self.chunk[1]}" if self.chunk else str(self.folder)


@dataclass(frozen=True, slots=True)
class JudgingShare:
    """What one judging job does."""

    judgings: tuple[Judging, ...]
    backend: Backend
    sampling: Sampling
    timeout_s: float
    progress: Path


@dataclass(frozen=True, slots=True)
class Chained:
    """The judging behind an evaluation: `command` is the `ns generate` that would do it. Without `own_job` the job that
    generates stops its server and judges, in the allocation that it has."""

    command: GenerateConfig
    judgings: tuple[Judging, ...]
    own_job: bool

    def of(self, sources: Collection[Path]) -> tuple[Judging, ...]:
        """Those of these folders of outputs."""
        return tuple(item for item in self.judgings if item.source in sources)


def judging(config: GenerateConfig, seeds: tuple[int | None, ...] | None) -> Judging:
    """The plan of `ns generate` with a judge over the outputs of a run.

    Raises:
        UsageError: an unknown type or switch.
        DataError: no outputs, or not those of the seeds that are named.
    """
    nemo_skills.use(config.nemo_skills_path)
    if config.adapter:
        raise UsageError("a judge is one model", hint="merge its adapter: ns convert --convert_to=hf --adapter=…")
    if config.generation_module:
        judge, own = _own_judge(config.generation_module, config.judge)
    else:
        judge, own = judge_of(config.generation_type, config.judge), {}
    if not config.input_dir:
        raise UsageError("which outputs? --input_dir is missing", hint="--input_dir=out/eval-results/<benchmark>")
    source = Path(config.input_dir).absolute()
    rundir.outputs(source, seeds)
    baseline = _baseline(config, needed=getattr(judge, "needs_baseline", False))
    return Judging(source, seeds, plan.writable(Path(config.output_dir)), {**judge.spec(), **own}, baseline)


def chained(config: EvalConfig, found: Plan) -> Chained | None:
    """The judging that `--judge=…` asks for behind the generation; None where nobody asks.

    Raises:
        UsageError: no judge, no model of it, a key that neither `ns generate` nor the judge has; only some chunks are asked.
    """
    given = dict(config.judge)
    kinds = _kinds(found, str(given.pop("type", "")).removesuffix("_judge"))
    if not given and not config.judge:
        for name, (kind, _) in kinds.items():
            logger.warning("%s is judged by a model, and none is named: ++judge.model=… (judge `%s`)", name, kind)
        return None
    own_job = bool(given.pop("own_job", True))
    if not kinds:
        raise UsageError("which judge? --judge is missing", hint="--judge=math ++judge.model=…; `ns show judges`")
    if config.chunk_ids is not None:
        raise UsageError(
            "--chunk_ids asks a part of the questions, and a judge needs all", hint="leave --judge out until then"
        )
    own = {name: given.pop(name) for name in list(given) if name in _OF_THE_COMMAND}
    if "model" not in own:
        raise UsageError("which model judges? ++judge.model is missing", hint="++judge.model=/models/qwen2.5-32b-instruct")
    words = [f"++{item.key}={item.text}" for item in flatten(own)]
    if config.shared_budget and "shared_budget" not in own:
        words.append(f"++shared_budget={config.shared_budget}")
    typed = overrides(GenerateConfig, [*words, f"--output_dir={found.output_dir}"], ASK_SPELLINGS)
    command = compose(GenerateConfig, typed, layers(typed))
    command.generation_type = ", ".join(dict.fromkeys(type_of(kind) for kind, _ in kinds.values()))
    servers.require_key(command.server)
    if not command.server.base_url:
        models.check_weights(models.weights(command.model), command.server_type or "")
    runs_judged = {run.folder: run for run in found.runs if run.name in kinds}
    judgings = tuple(_behind(run, *kinds[run.name], given) for run in runs_judged.values())
    return Chained(command, judgings, own_job)


def _kinds(found: Plan, chosen: str) -> dict[str, tuple[str, Mapping[str, Json]]]:
    """Benchmark -> judge and its switches: the one that is asked for, else the benchmark's own where that is a model."""
    if chosen:
        return {run.name: (chosen, {}) for run in found.runs}
    kinds: dict[str, tuple[str, Mapping[str, Json]]] = {}
    for name in dict.fromkeys(run.name for run in found.runs if not run.judge):
        benchmark = benchmarks.find(name)
        kinds[name] = (benchmark.judge, benchmark.judge_options)
    return kinds


def _behind(run: BenchmarkRun, kind: str, options: Mapping[str, Json], switches: Mapping[str, Json]) -> Judging:
    judge = judge_of(type_of(kind), {**options, **switches})
    if getattr(judge, "needs_baseline", False):
        raise UsageError(f"--judge={kind} compares two runs", hint="ns generate --generation_type=pairwise_judge …")
    kept = "eval-results-genselect" if kind == _SELECTING else "eval-results-judged"
    return Judging(run.folder, None, run.folder.parent.parent / kept / run.name, judge.spec())


def judge_of(generation_type: str, switches: Mapping[str, Json]) -> Any:
    """The judge that a generation_type names, with these switches: `math_judge` is conf/judge/math.

    Raises:
        UsageError: no such type, a judge that asks no model, no such prompt or rubric, a switch that it does not have.
    """
    types = {type_of(known): known for known in conf_names("judge")}
    if generation_type not in types:
        known = ["generate", *types]
        raise UsageError(f"unknown generation_type `{generation_type}`, {suggest(generation_type, known)}")
    judge = build_judge({**load_yaml(conf_file("judge", types[generation_type])), **switches})
    if not asks_a_model(judge):
        raise UsageError(
            f"the judge `{types[generation_type]}` asks no model: it grades while `ns eval` runs",
            hint="ns regrade RUN grades a finished run again",
        )
    return judge


def _own_judge(target: str, switches: Mapping[str, Json]) -> tuple[Any, dict[str, Json]]:
    """A user's own judge, and under which name a node finds it."""
    path, colons, name = target.partition("::")
    if not colons:
        raise UsageError(f"--generation_module={target}: expected path/to/file.py::Class")
    found = f"{Path(path).absolute()}::{name}"
    judge = build_judge({"_target_": found, **switches})
    missing = [member for member in _MEMBERS if not hasattr(judge, member)]
    if missing and not hasattr(judge, "groups"):
        raise UsageError(
            f"{target} is no judge: it has no `{missing[0]}`", hint="docs/judges.md lists what a judge has to have"
        )
    return judge, {"_target_": found}


def type_of(judge: str) -> str:
    """conf/judge/math is the generation_type `math_judge`; GenSelect's is its name."""
    return judge if judge == _SELECTING else f"{judge}_judge"


def sampling(config: GenerateConfig) -> Sampling:
    """How the judge's replies are drawn: greedily unless a temperature is given, with room to think."""
    drawn = runs.sampling(config.inference, BenchmarkConfig(), greedy=config.inference.temperature is None)
    return drawn if drawn.max_tokens is not None else dataclasses.replace(drawn, max_tokens=_JUDGE_TOKENS)


def share(config: GenerateConfig, judgings: Sequence[Judging], backend: Backend, progress: Path) -> JudgingShare:
    """The share of one judging job.

    Raises:
        UsageError: a sampling value that the judge's server would ignore.
    """
    drawn = sampling(config)
    for note in check_fields(config.server, drawn, seeded=False):
        logger.warning("judge: %s", note)
    check_budget(config.budget_usd, config.price, [drawn.max_tokens])
    return JudgingShare(tuple(judgings), backend, drawn, runs.timeout_s(config.inference, BenchmarkConfig()), progress)


def expect_calls(asked: Judging, config: GenerateConfig, *, force: bool) -> None:
    """Refuses to mix the calls of two judges, or about two sets of questions, in one folder."""
    settings = {
        "judge": asked.judge,
        "model": models.identity(models.weights(config.model)),
        "sampling": dataclasses.asdict(sampling(config)),
        "questions": _questions_of(asked),
    }
    expected = Expected("judge-calls", 0, (None,), "", settings, asked.judge)
    rundir.expect(asked.folder / "judge-calls", expected, force=force)


def _questions_of(asked: Judging) -> Json:
    """What tells these questions from others: what the run recorded, else a hash of what the first file asks."""
    recorded = rundir.question_set(asked.source)
    if recorded is not None:
        return recorded
    first = next(iter(rundir.outputs(asked.source, asked.seeds).values()))
    problems = sorted({str(row.get("problem") or row.get("question") or "") for _, row in read_jsonl(first)})
    return hashlib.sha256(dumps({"problems": problems})).hexdigest()[:16]


def expect_all(found: Chained, *, force: bool) -> None:
    """`expect_calls` of every folder of a chain."""
    for asked in found.judgings:
        expect_calls(asked, found.command, force=force)


def saving(folder: Path) -> str | None:
    """What judging a folder took and what it was spared, in one sentence; None while calls of other chunks are missing."""
    path = folder / "judging.json"
    return str(loads(path.read_bytes())["said"]) if path.exists() else None


def described(found: Chained) -> str:
    """A line for `--dry_run`."""
    config, into = found.command, found.judgings[0].folder.parent
    return f"\njudge   {config.generation_type}: {config.model} on {config.server_type}, into {into}"


def _baseline(config: GenerateConfig, *, needed: bool) -> Path | None:
    if needed and not config.baseline_dir:
        raise UsageError("which other run? --baseline_dir is missing", hint="--baseline_dir=other/eval-results/<benchmark>")
    if not needed and config.baseline_dir:
        raise UsageError(f"{config.generation_type} compares with nothing: --baseline_dir is for pairwise_judge")
    if not config.baseline_dir:
        return None
    rundir.outputs(Path(config.baseline_dir).absolute())
    return Path(config.baseline_dir).absolute()
