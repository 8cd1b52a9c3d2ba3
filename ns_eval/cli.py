"""The door: the command table, the printing of errors, the exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ns_eval.errors import NsError, UsageError, suggest


@dataclass(frozen=True, slots=True)
class Command:
    """One command by name only: nothing of it is imported before it is asked for.

    `schema` and `run` are "module:name"; `spellings` names its table of older names, `layers` the function that says
    which YAMLs lie under the command line, where it has them; `each` splits a command line into several for `run_each`.
    """

    about: str
    schema: str
    run: str
    spellings: str | None = None
    layers: str | None = None
    each: str | None = None
    run_each: str | None = None


# Their slashes are those of fractions, and of the mounts themselves.
_WITHOUT_PATHS = ("check_answer", "setup")
_MODEL_LAYERS = "ns_eval.catalogue.layering:layers"
COMMANDS = {
    "eval": Command(
        "sample answers to benchmarks from a model, grade them, print the table",
        "ns_eval.options:EvalConfig",
        "ns_eval.commands:evaluate",
        spellings="ns_eval.options:EVAL_SPELLINGS",
        layers=_MODEL_LAYERS,
        each="ns_eval.catalogue.several:each",
        run_each="ns_eval.evaluate_several:evaluate",
    ),
    "generate": Command(
        "answer every row of a file, or let a model judge the outputs of a run",
        "ns_eval.options:GenerateConfig",
        "ns_eval.commands:generate",
        spellings="ns_eval.options:ASK_SPELLINGS",
        layers=_MODEL_LAYERS,
    ),
    "check": Command(
        "look for what is wrong with an evaluation before it starts",
        "ns_eval.check_command:CheckConfig",
        "ns_eval.check_command:check",
        spellings="ns_eval.options:EVAL_SPELLINGS",
        layers=_MODEL_LAYERS,
    ),
    "recipe": Command(
        "run the stages of a recipe: ns eval --recipe=NAME", "ns_eval.recipe:RecipeConfig", "ns_eval.recipe:main"
    ),
    "prepare_data": Command("make benchmark files", "dataset_prepare.prepare:PrepareConfig", "dataset_prepare.prepare:main"),
    "convert": Command(
        "convert a checkpoint for a server, merge an adapter",
        "ns_eval.conversion:ConvertConfig",
        "ns_eval.convert_command:convert",
        spellings="ns_eval.conversion:CONVERT_SPELLINGS",
    ),
    "summarize_results": Command(
        "pass@k, majority@k and intervals of a run",
        "summarize.results:ResultsConfig",
        "summarize.results:main",
        spellings="summarize.results:RESULTS_SPELLINGS",
    ),
    "category_report": Command(
        "score of a category, dataset by dataset, and what the answers cost",
        "summarize.category:CategoryReportConfig",
        "summarize.category:main",
    ),
    "compare": Command("paired differences between runs", "summarize.comparing:CompareConfig", "summarize.comparing:main"),
    "report": Command(
        "one file about runs: tables, charts, findings, samples",
        "summarize.pages.report:ReportConfig",
        "summarize.pages.report:main",
    ),
    "export": Command(
        "write runs as Parquet, summary.json and insights.json",
        "summarize.pages.exports:ExportConfig",
        "summarize.pages.exports:main",
    ),
    "dashboard": Command(
        "look through runs in a browser",
        "summarize.pages.dashboard:DashboardConfig",
        "summarize.pages.dashboard:main",
    ),
    "scores": Command(
        "rank models: score, score per token, tiers",
        "summarize.rankings.scores:ScoresConfig",
        "summarize.rankings.scores:scores",
    ),
    "evals": Command(
        "list evaluations that can be ranked", "summarize.rankings.scores:EvalsConfig", "summarize.rankings.scores:evals"
    ),
    "profile": Command(
        "what one model is like, and why it fails",
        "summarize.rankings.profile:ProfileConfig",
        "summarize.rankings.profile:main",
    ),
    "check_answer": Command(
        "say whether two answers are equal, and why", "judges.check_answer:CheckAnswerConfig", "judges.check_answer:main"
    ),
    "regrade": Command("grade a finished run again", "judges.regrade:RegradeConfig", "judges.regrade:main"),
    "show": Command("list what can be named: benchmarks, models, …", "ns_eval.show:ShowConfig", "ns_eval.show:main"),
    "start_server": Command(
        "run a model server and print its address",
        "ns_eval.server_commands:StartServerConfig",
        "ns_eval.server_commands:start_server",
        spellings="ns_eval.server_commands:SERVER_SPELLINGS",
        layers=_MODEL_LAYERS,
    ),
    "run_cmd": Command(
        "run a command beside a model server",
        "ns_eval.server_commands:RunCmdConfig",
        "ns_eval.server_commands:run_cmd",
        spellings="ns_eval.server_commands:SERVER_SPELLINGS",
        layers=_MODEL_LAYERS,
    ),
    "sandbox_serve": Command(
        "offer the sandbox over HTTP", "ns_eval.sandbox.serve:ServeConfig", "ns_eval.sandbox.serve:main"
    ),
    "status": Command("how far a run is", "ns_eval.status:StatusConfig", "ns_eval.status:main"),
    "logs": Command("what the jobs of a run say", "ns_eval.job_commands:LogsConfig", "ns_eval.job_commands:logs"),
    "cancel": Command("end the jobs of a run", "ns_eval.job_commands:CancelConfig", "ns_eval.job_commands:cancel"),
    "retry": Command("run again what failed", "ns_eval.job_commands:RetryConfig", "ns_eval.job_commands:retry"),
    "setup": Command(
        "write a cluster config", "ns_eval.cluster.setup_cluster:SetupConfig", "ns_eval.cluster.setup_cluster:main"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code of architecture section 4."""
    words = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        return _run(words)
    except NsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `ns … | head`: the reader has what it wanted; a second error at exit would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"ns-eval {version('ns-eval')}")
        return 0
    name, rest = command_of(words)
    if name not in COMMANDS:
        raise UsageError(f"unknown command `{words[0]}`, {suggest(name, COMMANDS)}", hint="ns --help")
    return _dispatch(name, rest)


def command_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command that is meant, and its own words: `sandbox serve` is one, and `eval --recipe=…` is the recipe's."""
    name, rest = words[0].replace("-", "_"), list(words[1:])
    if name == "sandbox" and rest[:1] == ["serve"]:
        return "sandbox_serve", rest[1:]
    if name == "eval" and any(word.lstrip("-+").partition("=")[0] == "recipe" for word in rest):
        return "recipe", rest
    return name, rest


def _dispatch(name: str, words: list[str]) -> int:
    from ns_eval.resources import locate

    command = COMMANDS[name]
    schema = locate(command.schema)
    spellings = locate(command.spellings) if command.spellings else None
    if {"--help", "-h"} & set(words):
        from ns_eval.usage import command_help

        print(command_help(name, schema, spellings))
        return 0
    other = spellings.other_command(words) if spellings else None
    if other is not None:
        return _run(other)
    words = _at_mounts(name, words)
    if command.each and command.run_each:
        parts = locate(command.each)(_given(name, words))
        if len(parts) > 1:
            return int(locate(command.run_each)(parts))
    return int(locate(command.run)(_composed(name, words)) or 0)


def configured(name: str, words: list[str]) -> Any:
    """The checked config that a command makes of its words: an object of its schema.

    Raises:
        UsageError: an unknown key or value, with the nearest ones.
    """
    return _composed(name, _at_mounts(name, words))


def _composed(name: str, words: list[str]) -> Any:
    from ns_eval.compose import compose
    from ns_eval.resources import locate

    command = COMMANDS[name]
    given = _given(name, words)
    return compose(locate(command.schema), given, locate(command.layers)(given) if command.layers else ())


def _given(name: str, words: list[str]) -> Any:
    """What the words of a command set."""
    from ns_eval.compose import overrides
    from ns_eval.resources import locate

    command = COMMANDS[name]
    return overrides(locate(command.schema), words, locate(command.spellings) if command.spellings else None)


def _at_mounts(name: str, words: list[str]) -> list[str]:
    """The words with paths below a cluster's mounts moved to where they lie outside a container, said once."""
    if name in _WITHOUT_PATHS or not any("/" in word for word in words):
        return words
    from ns_eval.cluster.mounts import of_words, translate

    moved, note = translate(of_words(words), words)
    if note:
        print(note, file=sys.stderr)
    return moved


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    rows = "\n".join(f"  {name:<{width}}{command.about}" for name, command in COMMANDS.items())
    return (
        "ns: evaluate reasoning models\n\nusage: ns COMMAND [--key=value …]\n\n"
        f"{rows}\n\n"
        "first run:  ns eval --model=tinymath --benchmarks=arithmetic:8 --output_dir=out\n"
        "help:       ns COMMAND --help, ns --version"
    )


if __name__ == "__main__":
    sys.exit(main())
