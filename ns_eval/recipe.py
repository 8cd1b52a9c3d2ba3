"""`ns eval --recipe=NAME`: the stages of conf/recipe/NAME.yaml, each an existing command; what is done is not done again.

A recipe holds no logic: its values are filled into command lines. A stage with `each` runs once for every value of a list,
all at once, under one display.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ns_eval import job_files, models, progress
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose, overrides
from ns_eval.errors import DataError, JobError, UsageError, suggest
from ns_eval.options import ASK_SPELLINGS, EVAL_SPELLINGS, EvalConfig, GenerateConfig
from ns_eval.resources import conf_file
from ns_eval.schema import REQUIRED, build, load_yaml
from ns_eval.servers import key_variable

Values: TypeAlias = dict[str, Any]
_LOOK_S = 1.0
_GRACE_S = "30"
# A command that says its own table is done although some samples are not graded: the recipe goes on and says it.
_INCOMPLETE = 6
_OWN = ("source", "samples", "models", "benchmarks", "judge_model", "judge_address")


@dataclass
class StageConfig:
    """One command of a recipe."""

    name: str = REQUIRED
    """What --stages calls it."""
    run: str = REQUIRED
    """A command line without `ns`; {name} is a value of the recipe, {output_dir} the folder."""
    each: str = ""
    """The value that is a list: the command runs once for each, as {model} and {label}, all at once."""


@dataclass
class RecipeFile:
    """A recipe. conf/recipe/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line: what it does."""
    values: dict[str, Any] = field(default_factory=dict)
    """What its command lines are filled with; ++NAME=VALUE changes one."""
    stages: list[StageConfig] = REQUIRED
    """In order."""


@dataclass
class RecipeConfig:
    """Run the stages of a recipe, each of which is a command that can be run alone. The same command again goes on.

    Examples:
        ns eval --recipe=scientific --output_dir=out --source=a.parquet,b.parquet --models=gpt_4o_mini,tinymath
        ns eval --recipe=scientific --output_dir=out --stages=files,report
        ns eval --recipe=scientific --output_dir=out --dry_run
    """

    recipe: str = REQUIRED
    """A name in conf/recipe or a path to a YAML."""
    output_dir: str = REQUIRED
    """Where everything goes: a run folder for each model, and what is made of them."""
    stages: list[str] = field(default_factory=list)
    """Only these. Default: all."""
    source: str | None = None
    """Instead of the recipe's own: the files of the questions."""
    samples: int | None = None
    """Instead of the recipe's own: how many questions."""
    models: list[str] = field(default_factory=list)
    """Instead of the recipe's own: the models, by name or path."""
    benchmarks: str | None = None
    """Instead of the recipe's own: what is asked."""
    judge_model: str | None = None
    """Instead of the recipe's own: the model that judges."""
    judge_address: str | None = None
    """Instead of the recipe's own: where it answers."""
    values: dict[str, Any] = field(default_factory=dict)
    """Any other value of the recipe that differs."""
    extra: dict[str, str] = field(default_factory=dict)
    """Further words of a stage's command line: ++extra.answers='--max_samples=4'."""
    allow_missing_models: bool = False
    """Go on without the models whose key is not set."""
    dry_run: bool = False
    """Print the command lines, start nothing."""


def main(config: RecipeConfig) -> int:
    """Runs the stages.

    Raises:
        UsageError: an unknown recipe, stage or value; a key that is missing.
        JobError: a command of a stage failed; the others of that stage have run to their end.
    """
    found = recipe(config)
    output_dir = str(Path(config.output_dir).absolute())
    values = {**found.values, **_given(config), "output_dir": output_dir}
    chosen = [stage for stage in found.stages if not config.stages or stage.name in config.stages]
    lines = {stage.name: _lines(stage, values, config.extra.get(stage.name, "")) for stage in chosen}
    if config.dry_run:
        print("\n".join(shlex.join(["ns", *words]) for own in lines.values() for words in own.values()))
        return 0
    for stage in chosen:
        if stage.each:
            lines[stage.name] = _with_keys(lines[stage.name], allow=config.allow_missing_models)
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    incomplete: list[str] = []
    for stage in chosen:
        print(f"── {stage.name}", file=sys.stderr, flush=True)
        incomplete += _run(stage, lines[stage.name], Path(output_dir))
    if incomplete:
        print(f"not everything is graded: {', '.join(incomplete)}; the same command asks what is missing", file=sys.stderr)
        return _INCOMPLETE
    return 0


def recipe(config: RecipeConfig) -> RecipeFile:
    """The recipe, checked.

    Raises:
        UsageError: no such recipe, a stage or a value that it does not have.
    """
    path = conf_file("recipe", config.recipe)
    found = build(RecipeFile, load_yaml(path), str(path))
    found.stages = [build(StageConfig, stage, str(path)) if isinstance(stage, Mapping) else stage for stage in found.stages]
    names = [stage.name for stage in found.stages]
    for name in (*config.stages, *config.extra):
        if name not in names:
            raise UsageError(f"{path}: no stage `{name}`, {suggest(name, names)}")
    for name in _given(config):
        if name not in found.values:
            raise UsageError(f"{path}: no value `{name}`, {suggest(name, found.values)}")
    return found


def _given(config: RecipeConfig) -> Values:
    """What the command line says of the recipe's values."""
    own = {name: getattr(config, name) for name in _OWN}
    return {**config.values, **{name: value for name, value in own.items() if value not in (None, [])}}


def _lines(stage: StageConfig, values: Values, extra: str) -> dict[str, list[str]]:
    """The command lines of a stage by label."""
    if not stage.each:
        return {stage.name: _filled(stage, values, extra)}
    listed = values.get(stage.each)
    if not isinstance(listed, list) or not listed:
        raise UsageError(f"stage {stage.name}: `{stage.each}` is no list of names", hint=f"++values.{stage.each}=[a,b]")
    labels = {models.label(str(name)): str(name) for name in listed}
    if len(labels) < len(listed):
        raise UsageError(f"stage {stage.name}: two of `{stage.each}` have one name: {', '.join(map(str, listed))}")
    return {label: _filled(stage, {**values, "model": name, "label": label}, extra) for label, name in labels.items()}


def _filled(stage: StageConfig, values: Values, extra: str) -> list[str]:
    """Each word filled by itself: a value with blanks stays one word, one that stands alone may be several."""
    words: list[str] = []
    for word in stage.run.split():
        try:
            text = word.format_map({name: _text(value) for name, value in values.items()})
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(f"stage {stage.name}: `{word}` names no value of the recipe ({error})") from error
        words += shlex.split(text) if word.startswith("{") and word.endswith("}") and word.count("{") == 1 else [text]
    return [*words, *shlex.split(extra)]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _with_keys(lines: Mapping[str, list[str]], *, allow: bool) -> dict[str, list[str]]:
    """The command lines whose servers' keys are set.

    Raises:
        UsageError: one is not, and nobody said to go on without it.
    """
    missing = {label: variable for label, words in lines.items() if (variable := _missing_key(words))}
    if not missing:
        return dict(lines)
    told = ", ".join(f"{label} needs ${variable}" for label, variable in missing.items())
    kept = {label: words for label, words in lines.items() if label not in missing}
    if not allow or not kept:
        raise UsageError(
            f"no key for {len(missing)} of {len(lines)} models: {told}",
            hint="export it, or go on without them: ++allow_missing_models=true",
        )
    print(f"left out: {told}", file=sys.stderr)
    return kept


def _missing_key(words: Sequence[str]) -> str | None:
    """The variable that an evaluation needs and that is not set, of the model or of the judge behind it."""
    if words[0] != "eval":
        return None
    given = overrides(EvalConfig, words[1:], EVAL_SPELLINGS)
    config = compose(EvalConfig, given, layers(given))
    variables = [key_variable(config.server)]
    address = config.judge.get("server_address")
    if address:
        judge = [f"--model={config.judge.get('model')}", f"--server_address={address}", f"--output_dir={config.output_dir}"]
        judge.append(f"--server_type={config.judge.get('server_type', 'openai')}")
        typed = overrides(GenerateConfig, judge, ASK_SPELLINGS)
        variables.append(key_variable(compose(GenerateConfig, typed, layers(typed)).server))
    return next((variable for variable in variables if variable and not os.environ.get(variable)), None)


def _run(stage: StageConfig, lines: Mapping[str, list[str]], output_dir: Path) -> list[str]:
    """Runs the commands of a stage; says which ended incomplete.

    Raises:
        JobError: one failed.
    """
    if not stage.each:
        (words,) = lines.values()
        code = subprocess.run([sys.executable, "-m", "ns_eval", *words], check=False).returncode
        _require({stage.name: code}, {})
        return []
    logs = {label: output_dir / "logs" / f"{label}.log" for label in lines}
    codes = _all_at_once(lines, logs, output_dir)
    _require({label: code for label, code in codes.items() if code != _INCOMPLETE}, logs)
    return [label for label, code in codes.items() if code == _INCOMPLETE]


def _all_at_once(lines: Mapping[str, list[str]], logs: Mapping[str, Path], output_dir: Path) -> dict[str, int]:
    """Every command behind a keeper, which ends it when this process is gone, by whatever means."""
    keeper = Path(__file__).with_name("keeper.py")
    (output_dir / "logs").mkdir(exist_ok=True)
    with ExitStack() as opened:
        started = {}
        for label, words in lines.items():
            log = opened.enter_context(logs[label].open("ab"))
            command = [sys.executable, "-I", str(keeper), _GRACE_S, sys.executable, "-m", "ns_eval", *words]
            started[label] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            while any(process.poll() is None for process in started.values()):
                _display([output_dir / label for label in lines])
                time.sleep(_LOOK_S)
        finally:
            for process in started.values():
                if process.stdin:
                    process.stdin.close()
            codes = {label: process.wait() for label, process in started.items()}
        _display([output_dir / label for label in lines], end="\n")
    return codes


def _display(folders: Sequence[Path], end: str = "") -> None:
    """One line for all models: the counts of their jobs as one."""
    now = progress.summed([own for folder in folders for own in _snapshots(folder)])
    text = f"{len(folders)} models: {progress.line(now)}"
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end=end, file=sys.stderr, flush=True)
    elif end:
        print(text, file=sys.stderr, flush=True)


def _snapshots(folder: Path) -> Iterator[progress.Snapshot]:
    try:
        jobs = job_files.read_table(folder).jobs if job_files.has_table(folder) else ()
    except (DataError, JobError, json.JSONDecodeError):
        return
    for job in jobs:
        yield progress.read(job_files.progress_path(folder, job.name))


def _require(codes: Mapping[str, int], logs: Mapping[str, Path]) -> None:
    failed = {label: code for label, code in codes.items() if code}
    if not failed:
        return
    if len(codes) == 1 and not logs:
        raise JobError(f"stage {next(iter(failed))} ended with {next(iter(failed.values()))}, see above")
    told = [f"{label} ({code}): {_last(logs[label])}" for label, code in failed.items()]
    raise JobError(
        f"{len(failed)} of {len(codes)} commands failed: {'; '.join(told)}",
        hint="mend it and give the same command again: what is done is not done twice",
    )


def _last(log: Path) -> str:
    """What went wrong, as the command said it."""
    lines = job_files.last_lines(log, 40)
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]
