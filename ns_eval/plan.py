"""config -> what each job will do. Everything a user can have wrong is found here, before anything starts."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import dealing, models, nemo_skills, pictures, prompts, questions, runs
from ns_eval.catalogue import compatibility, scoring, selection
from ns_eval.catalogue.selection import Chosen, Selection
from ns_eval.chat_template import chat_template
from ns_eval.config import BenchmarkConfig
from ns_eval.engines.engine_commands import check_model
from ns_eval.engines.request_fields import check_fields
from ns_eval.errors import DataError, UsageError
from ns_eval.grading import asks_a_model, build_judge
from ns_eval.markup import CodeTags, template_of
from ns_eval.options import AskConfig, EvalConfig
from ns_eval.prompts import Prompt
from ns_eval.records import Json, Question, Sampling
from ns_eval.resources import conf_file
from ns_eval.runs import BenchmarkRun, CodeRun, ReferenceRun
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.walls import check
from ns_eval.schema import load_yaml
from ns_eval.tools import PYTHON_TOOL, executions_allowed, worded
from ns_eval.turns import turns_of
from ns_eval.variants import Variant, Variants, variants

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """The benchmarks of a run, for each model that answers them, and how their work is dealt over jobs: a share for each."""

    output_dir: Path
    model: str
    variants: Variants
    runs: tuple[BenchmarkRun, ...]
    shares: tuple[tuple[BenchmarkRun, ...], ...]
    selection: Selection = field(default_factory=lambda: Selection(()))

    @property
    def samples(self) -> int:
        return sum(run.rows * len(run.seeds) for run in self.runs)


def evaluation(config: EvalConfig, *, num_jobs: int) -> Plan:
    """What `ns eval` will do. Reads questions, prompts and the model's files; starts and writes nothing.

    Raises:
        UsageError, DataError: whatever is wrong with the settings or the data, each with what to do.
    """
    nemo_skills.use(config.nemo_skills_path)
    output_dir = writable(Path(config.output_dir))
    model = models.weights(config.model)
    selected = selection.choose(config)
    who = models_asked(config, model, output_dir)
    first, selected = _runs(config, selected, who.asked[0])
    found = tuple(of_variant(run, variant) for variant in who.asked for run in first)
    return Plan(output_dir, model, who, found, dealing.deal(dealing.chunked(found, config), num_jobs), selected)


def models_asked(config: AskConfig, model: str, output_dir: Path) -> Variants:
    """The models that a command asks, checked as far as no server is needed for it.

    Raises:
        UsageError, DataError: a model folder that is not whole, an adapter that does not fit.
    """
    if not config.server.base_url:
        models.check_weights(model, config.server_type or "")
        chat = config.prompt_template is None and config.inference.endpoint_type != "text"
        check_model(config.server, model, chat=chat)
    return variants(config, output_dir)


def of_variant(run: BenchmarkRun, variant: Variant) -> BenchmarkRun:
    """A benchmark as this model is asked it."""
    folder = variant.folder / "eval-results" / run.name if run.split else variant.folder
    return run.of_model(variant.adapter, folder, variant.identity)


def _runs(config: EvalConfig, selected: Selection, variant: Variant) -> tuple[list[BenchmarkRun], Selection]:
    """The benchmarks that can be asked; of drawn ones those whose questions do not allow it are skipped, with the reason."""
    found: list[BenchmarkRun] = []
    for item in selected.chosen:
        try:
            found.append(run_of(config, item, variant))
        except DataError as error:
            if not selected.categories:
                raise
            selected = selection.without(selected, item.asked.benchmark.name, error.message)
    if not found:
        raise selection.nothing(selected)
    few = [f"{run.name} has {run.rows}" for run in found if run.drawn and config.samples and run.rows < config.samples]
    if few:
        logger.warning("fewer than %d questions, all are taken: %s", config.samples, ", ".join(few))
    return found, selected


def run_of(config: EvalConfig, chosen: Chosen, variant: Variant) -> BenchmarkRun:
    """One benchmark as one model is asked it.

    Raises:
        UsageError, DataError: questions, prompt, judge or a sampling field that cannot be had.
    """
    benchmark = chosen.asked.benchmark
    split = config.split or benchmark.split
    questions.require_runnable(benchmark)
    loaded = questions.load(benchmark, split, questions.data_dir(config.data_dir))
    rows = rows_asked(config, len(loaded.questions), chosen.limit)
    total = loaded.upstream_rows or loaded.rows
    too_long = compatibility.of_context(compatibility.facts(config.model), config.server, loaded.questions)
    if too_long is not None:
        raise DataError(f"{benchmark.name}: {too_long}", hint="++server.context=N, where the model takes more")
    prompt = prompt_of(config, config.prompt_config or benchmark.prompt)
    run = BenchmarkRun(
        name=benchmark.name,
        split=split,
        seeds=chosen.asked.seeds,
        questions=loaded.path,
        fingerprint=loaded.fingerprint,
        rows=rows,
        upstream_rows=total if total != rows else None,
        prompt=prompt,
        sampling=sampling_of(config, benchmark),
        greedy=sampling_of(config, benchmark, greedy=True),
        judge=judge_spec(benchmark, config, chosen.timeout_s),
        metric_type=benchmark.metric_type,
        folder=variant.folder / "eval-results" / benchmark.name,
        timeout_s=runs.timeout_s(config.inference, benchmark),
        code=code_of(config, prompt),
        reference=reference_of(config, benchmark),
        drawn=chosen.limit is not None,
        grading_s=chosen.timeout_s,
    )
    way = scoring.way_of(config, benchmark)
    if way:
        run = scoring.by_likelihood(run, way)
    _check_requests(config, run, loaded.questions)
    strategy = config.server.context_limit_retry_strategy
    shaping = {"server.context_limit_retry_strategy": strategy} if strategy else {}
    return dataclasses.replace(run, settings={**runs.settings_of(run, variant.identity), **shaping})


def reference_of(config: EvalConfig, benchmark: BenchmarkConfig) -> ReferenceRun | None:
    """How the log-probabilities of references are asked for; None where they are not, which is said if somebody wants them.

    Raises:
        UsageError: the model has no chat template to put in front of them.
    """
    if not config.reference_logprobs or benchmark.metric_type != "text":
        return None
    if not config.server.prompt_logprobs:
        name = config.server_type or "the server"
        logger.warning("%s gives no log-probabilities of a prompt: `ns compare --perplexity` computes them itself", name)
        return None
    as_text = dataclasses.replace(config, inference=dataclasses.replace(config.inference, endpoint_type="text"))
    prompt = prompt_of(as_text, config.prompt_config or benchmark.prompt)
    return ReferenceRun(prompt, sampling_of(as_text, benchmark, greedy=True))


def _check_requests(config: EvalConfig, run: BenchmarkRun, there: Sequence[Question]) -> None:
    """That every question can be asked: its columns, its turns, its pictures, the fields of its request."""
    if turns_of(there[0]) and (run.prompt.template is not None or run.code is not None):
        raise UsageError(
            f"{run.name} has several turns: they need the server's own chat template, and no code between them",
            hint="leave --prompt_template and ++code_execution out",
        )
    runs.request_of(run, there[0], None)
    for question in runs.asked_of(run, there):
        pictures.files_of(question, run.questions.parent)
    seeded = any(seed is not None for seed in run.seeds)
    for note in check_fields(config.server, run.sampling if seeded else run.greedy, seeded=seeded):
        logger.warning("%s: %s", run.name, note)


def judge_spec(benchmark: BenchmarkConfig, config: EvalConfig, timeout_s: float | None = None) -> dict[str, Json]:
    """What builds the benchmark's judge: its YAML, then the benchmark's switches, then the command line's. `timeout_s`
    bounds all programs of one sample, where the judge runs some.

    Raises:
        UsageError: an unknown judge, or an option that it does not have.
    """
    spec = load_yaml(conf_file("judge", benchmark.judge))
    if timeout_s is not None and "sample_timeout_s" in spec:
        spec["sample_timeout_s"] = timeout_s
    spec = {**spec, **benchmark.judge_options, **config.judge_options}
    if config.end_reasoning_string is not None:
        spec["end_reasoning_string"] = config.end_reasoning_string
    if "sandbox" in spec:  # a judge that runs code does it where the command line says
        spec["sandbox"] = {**(spec["sandbox"] or {}), **_changed(config.sandbox)}
    # What asks a model judges behind the generation: see `judge_plan.chained`.
    return {} if asks_a_model(build_judge(spec)) else spec


def _changed(sandbox: SandboxConfig) -> dict[str, Json]:
    """The settings that differ from the defaults."""
    ours = dataclasses.asdict(SandboxConfig())
    return {name: value for name, value in dataclasses.asdict(sandbox).items() if value != ours[name]}


def rows_asked(config: AskConfig, there: int, limit: int | None = None) -> int:
    """How many of the questions that are there `--max_samples` lets through, -1 is all; or a `limit` of drawn ones."""
    if limit is not None:
        return min(limit, there)
    if config.max_samples == 0 or config.max_samples < -1:
        raise UsageError(f"--max_samples={config.max_samples}: expected a positive number, or -1 for all questions")
    return there if config.max_samples == -1 else min(config.max_samples, there)


def prompt_of(config: AskConfig, name: str) -> Prompt:
    """The prompt that is asked with.

    Raises:
        UsageError: see `prompts.load`; the text route without a template.
    """
    promised = executions_allowed(config.server.code_execution, config.total_code_executions_in_prompt)
    prompt = prompts.load(
        name,
        template=config.prompt_template,
        system=config.system_message,
        examples_type=config.examples_type,
        code_tags=config.code_tags,
        values={"total_code_executions": promised} if runs_code(config) else None,
    )
    if config.inference.endpoint_type != "text" or prompt.template is not None:
        return prompt
    folder = Path(config.tokenizer or models.weights(config.model))
    values = config.chat_template_kwargs
    return dataclasses.replace(prompt, chat_template=chat_template(folder, values, raw=_adds_no_tokens(config)))


def _adds_no_tokens(config: AskConfig) -> bool:
    """Whether the server can be told that a text holds its special tokens already."""
    return "add_special_tokens" in config.server.takes


def runs_code(config: AskConfig) -> bool:
    """Whether what the model writes is run between its parts, found by tags or called as a tool."""
    return config.code_execution or config.tools is not None


def code_of(config: AskConfig, prompt: Prompt) -> CodeRun | None:
    """How the model's code is run, None where it is not: the cap is what the prompt promises.

    Raises:
        UsageError: no tags to find code by, an unknown tool, a tool on the text route, or a sandbox that nothing could be.
    """
    if not runs_code(config):
        return None
    if not config.sandbox.host:
        check(config.sandbox)
    promised = executions_allowed(config.server.code_execution, config.total_code_executions_in_prompt)
    bounds, told = worded(dataclasses.replace(config.server.code_execution, max_code_executions=promised))
    if config.tools is not None:
        _check_tools(config, prompt)
        return CodeRun(bounds, None, told)
    markup = template_of(prompt.code_tags) if prompt.code_tags else None
    return CodeRun(bounds, CodeTags.of(markup, prompt.code_tags), told)


def _check_tools(config: AskConfig, prompt: Prompt) -> None:
    if config.tools != "python":
        raise UsageError(f"++tools={config.tools}: the only tool is python", hint="++tools=python")
    if config.code_execution:
        raise UsageError("++code_execution=true finds code by tags, ++tools=python by calls: choose one")
    if prompt.template is not None:
        raise UsageError(
            f"++tools=python needs the server's own chat template, not {config.prompt_template}",
            hint="leave --prompt_template out",
        )


def sampling_of(config: AskConfig, benchmark: BenchmarkConfig, *, greedy: bool = False) -> Sampling:
    """How answers are drawn, and what else every request carries: values for the chat template, the tool that is offered."""
    drawn = runs.sampling(config.inference, benchmark, greedy=greedy)
    more: dict[str, Json] = {}
    own_template = config.inference.endpoint_type == "text" and config.prompt_template is None
    if own_template and _adds_no_tokens(config):
        more["add_special_tokens"] = False
    if config.chat_template_kwargs and not own_template:
        more["chat_template_kwargs"] = config.chat_template_kwargs
    if config.tools is not None:
        more["tools"] = [PYTHON_TOOL]
    return dataclasses.replace(drawn, extra_body={**drawn.extra_body, **more}) if more else drawn


def writable(folder: Path) -> Path:
    """The folder, absolute; it need not exist yet."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--output_dir={folder}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--output_dir={folder}: {there} is not writable for you")
    return folder
