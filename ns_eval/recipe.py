"""`ns eval --recipe=NAME`: the stages of conf/recipe/NAME.yaml, each an existing command; what is done is not done again.

A recipe holds no logic: its values are filled into command lines. A stage with `each` runs once for every value of a list,
all at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ns_eval import models
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose, flatten, overrides
from ns_eval.errors import UsageError, suggest
from ns_eval.options import ASK_SPELLINGS, EVAL_SPELLINGS, AskConfig, EvalConfig, GenerateConfig
from ns_eval.recipe_run import Ends, run_each, run_one
from ns_eval.resources import conf_file
from ns_eval.schema import REQUIRED, build, load_yaml
from ns_eval.servers import key_variable
from ns_eval.shared_budget import Dealer
from ns_eval.spending import check_amount, check_budget, is_sold

Values: TypeAlias = dict[str, Any]
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
        ns eval --recipe=scientific --output_dir=out ++budget_usd=5
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
    budget_usd: float | None = None
    """Stop before answers and judgements of all models together have cost more; a larger one goes on."""
    allow_missing_models: bool = False
    """Go on without the models whose key is not set."""
    dry_run: bool = False
    """Print the command lines, start nothing."""


def main(config: RecipeConfig) -> int:
    """Runs the stages.

    Raises:
        UsageError: an unknown recipe, stage or value; a key or a price that is missing.
        JobError: a command of a stage failed; the others of that stage have run to their end.
        BudgetError: something is not asked for want of money; what there is has been exported.
    """
    found = recipe(config)
    check_amount(config.budget_usd)
    output_dir = Path(config.output_dir).absolute()
    values = {**found.values, **_given(config), "output_dir": str(output_dir)}
    chosen = [stage for stage in found.stages if not config.stages or stage.name in config.stages]
    lines = {stage.name: _lines(stage, values, config.extra.get(stage.name, "")) for stage in chosen}
    if config.dry_run:
        print("\n".join(shlex.join(["ns", *words]) for own in lines.values() for words in own.values()))
        return 0
    dealer = None if config.budget_usd is None else Dealer(output_dir / "budget.json", config.budget_usd)
    lines = {name: _asking(own, dealer, allow=config.allow_missing_models) for name, own in lines.items()}
    output_dir.mkdir(parents=True, exist_ok=True)
    ends = Ends()
    for stage in chosen:
        print(f"── {stage.name}", file=sys.stderr, flush=True)
        if dealer is not None:
            dealer.deal(())
        if stage.each:
            ended = run_each(lines[stage.name], output_dir, dealer)
            ends.stopped += ended.stopped
            ends.incomplete += ended.incomplete
        else:
            run_one(stage.name, lines[stage.name][stage.name], dealer)
    return ends.told(dealer)


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
    """Each word filled by itself: a value with blanks stays one word, one that stands alone may be several, and an option
    that is filled with nothing is not given."""
    words: list[str] = []
    for word in stage.run.split():
        try:
            text = word.format_map({name: _text(value) for name, value in values.items()})
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(f"stage {stage.name}: `{word}` names no value of the recipe ({error})") from error
        if word.startswith("{") and word.endswith("}") and word.count("{") == 1:
            words += shlex.split(text)
        elif not text.endswith("=") or word.endswith("="):
            words.append(text)
    return [*words, *shlex.split(extra)]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _asking(lines: Mapping[str, list[str]], dealer: Dealer | None, *, allow: bool) -> dict[str, list[str]]:
    """The command lines of a stage whose servers' keys are set, within the budget where there is one.

    Raises:
        UsageError: a key is not set, and nobody said to go on without it; a budget that could not be kept.
    """
    asked = {label: tuple(_asked(words)) for label, words in lines.items()}
    missing = {label: told for label, configs in asked.items() if (told := _missing_key(label, configs))}
    kept = {label: list(words) for label, words in lines.items() if label not in missing}
    if missing:
        told = ", ".join(missing.values())
        if not allow or not kept:
            raise UsageError(
                f"no key for {len(missing)} of {len(lines)} models: {told}",
                hint="export it, or go on without them: ++allow_missing_models=true",
            )
        print(f"left out: {told}", file=sys.stderr)
    if dealer is not None:
        for label, words in kept.items():
            _check_affordable(label, asked[label], dealer.now.budget_usd)
            words += [f"++shared_budget={dealer.path}"] if asked[label] else []
    return kept


def _asked(words: Sequence[str]) -> Iterator[AskConfig]:
    """What an evaluation asks of its model, and of the judge behind it."""
    if words[0] != "eval":
        return
    given = overrides(EvalConfig, words[1:], EVAL_SPELLINGS)
    config = compose(EvalConfig, given, layers(given))
    yield config
    own = {name: value for name, value in config.judge.items() if name == "model" or name.startswith(("server", "price"))}
    if "model" in own:
        typed = [f"++{item.key}={item.text}" for item in flatten(own)]
        judge = overrides(GenerateConfig, [*typed, f"--output_dir={config.output_dir}"], ASK_SPELLINGS)
        yield compose(GenerateConfig, judge, layers(judge))


def _missing_key(label: str, configs: Sequence[AskConfig]) -> str | None:
    """Who needs a variable that is not set."""
    for who, config in zip((label, f"the judge of {label}"), configs, strict=False):
        variable = key_variable(config.server)
        if variable and not os.environ.get(variable):
            return f"{who} needs ${variable}"
    return None


def _check_affordable(label: str, configs: Sequence[AskConfig], budget_usd: float) -> None:
    """A server that is started here costs nothing; of any other the price is known.

    Raises:
        UsageError: of which model or judge it is not, or a budget of its own, or a command that nobody waits for.
    """
    for config, who in zip(configs, (label, f"the judge of {label}"), strict=False):
        if config.budget_usd is not None or config.detach:
            own = "++budget_usd of its own" if config.budget_usd is not None else "--detach"
            raise UsageError(f"{who}: {own} does not go with the budget of the recipe", hint="leave one of the two out")
        if config.server.base_url and not is_sold(config.price):
            raise UsageError(
                f"{who}: ++budget_usd needs the price of {config.model}",
                hint="++extra.answers='++price.input=2.5 ++price.output=10', the judge's is ++judge.price.…; 0 is a price",
            )
        limit = config.inference.tokens_to_generate or config.server.context
        if (config.price.input or config.price.output) and isinstance(config, EvalConfig):
            check_budget(budget_usd, config.price, [limit])
