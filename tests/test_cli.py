"""The command line is the schema: every spelling works, every mistake gets one clear sentence and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ns_eval.arguments import parse
from ns_eval.cli import COMMANDS, main
from ns_eval.compose import compose, overrides
from ns_eval.options import EVAL_SPELLINGS, EvalConfig

BASE = ["--model=m", "--output_dir=o", "--benchmarks=arithmetic:8"]


def eval_config(*argv: str) -> EvalConfig:
    return compose(EvalConfig, overrides(EvalConfig, [*BASE, *argv], EVAL_SPELLINGS))


@pytest.mark.parametrize(
    "argv",
    [
        ["--server_type=vllm"],
        ["--server-type=vllm"],
        ["--server-type", "vllm"],
        ["--server_type", "vllm"],
        ["server_type=vllm"],
        ["++server_type=vllm"],
        ["+server_type=vllm"],
    ],
    ids=" ".join,
)
def test_every_spelling_sets_the_same_key(argv: list[str]) -> None:
    assert eval_config(*argv).server_type == "vllm"


@pytest.mark.parametrize(
    ("argv", "key", "value"),
    [
        (["++inference.temperature=0.6"], "temperature", 0.6),
        (["--inference.temperature=0.6"], "temperature", 0.6),
        (["++inference.tokens_to_generate=32768"], "tokens_to_generate", 32768),
        (["++inference.stop=[a,b]"], "stop", ["a", "b"]),
        (["++inference.stop=</s>,b"], "stop", ["</s>", "b"]),
        (["++inference.extra_body.reasoning_effort=high"], "extra_body", {"reasoning_effort": "high"}),
        (["++inference.extra_body.ids=[1,2]"], "extra_body", {"ids": [1, 2]}),
        (["++inference.extra_body.end=</think>"], "extra_body", {"end": "</think>"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_nested_keys_take_values_of_their_type(argv: list[str], key: str, value: object) -> None:
    assert getattr(eval_config(*argv).inference, key) == value


@pytest.mark.parametrize(
    "text",
    ["</think>", "a b=c", "it's", "back\\slash\\", "\\boxed{(x)}", "${HOME}", "null!", "a,b", "[x", "тест", "'quoted'"],
)
def test_text_needs_no_escaping(text: str) -> None:
    assert eval_config(f"++system_message={text}").system_message == text


def test_flags_alone_are_true_and_take_a_word() -> None:
    assert eval_config("--add_greedy").add_greedy
    assert eval_config("--add-greedy", "--dry_run").dry_run
    assert not eval_config("--add_greedy", "false").add_greedy
    assert eval_config("--skip_greedy", "--reuse_code=false").add_greedy is False


def test_lists_are_split_at_commas() -> None:
    assert eval_config("--benchmarks=a:64,b").benchmarks == ["a:64", "b"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--modle=m"], ["unknown key `modle`", "did you mean `model`"]),
        (["++temperature=1"], ["unknown key `temperature`", "`inference.temperature`"]),
        (["++inference.temprature=1"], ["inference.temprature", "`inference.temperature`"]),
        (["--num_jobs=many"], ["num_jobs=many", "nteger"]),
        (["--add_greedy=maybe"], ["add_greedy=maybe"]),
        (["++server.port=70000"], ["`server.port=70000`: expected 0 to 65535"]),
        (["--server_nodes=0"], ["`server.nodes=0`: expected at least 1"]),
        (["++inference.temperature=-0.1"], ["`inference.temperature=-0.1`: expected at least 0"]),
        (["--max_concurrent_requests=0"], ["`max_concurrent_requests=0`: expected at least 1"]),
        (["--server_type"], ["--server_type needs a value"]),
        (["stray"], ["unexpected argument `stray`"]),
        (["--num_random_seeds=3"], ["num_random_seeds", "--benchmarks=aime24:64"]),
        (["hydra.run.dir=x"], ["hydra.searchpath"]),
        (["hydra.searchpath=[file:///nowhere]"], ["/nowhere is not a folder"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_is_answered_with_what_to_type(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--server_type=openai", *BASE, *argv]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "Traceback" not in shown.err
    for word in words:
        assert word in shown.err


@pytest.mark.parametrize(
    ("benchmarks", "words"),
    [
        ("a, b", ["space"]),
        ("arithmetic:-1", ["`-1`", "whole number"]),
        ("arithmetic:x", ["`x`", "whole number"]),
        ("arithmetic:99999999999999999999", ["whole number up to 100000"]),
        ("arithmetc:8", ["unknown benchmark `arithmetc`", "did you mean `arithmetic`"]),
        ("arithmetic:1,arithmetic:2", ["twice"]),
    ],
)
def test_a_wrong_benchmark_is_named(
    benchmarks: str, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["eval", "--model=tinymath", f"--benchmarks={benchmarks}", f"--output_dir={tmp_path / 'out'}"]
    assert main(argv) == 2
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", ["0", "-2"])
def test_asking_no_question_is_refused(asked: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    argv = ["eval", "--model=tinymath", "--benchmarks=arithmetic:2", f"--output_dir={tmp_path / 'out'}"]
    assert main([*argv, f"--max_samples={asked}"]) == 2
    assert f"--max_samples={asked}: expected a positive number" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_values_are_listed_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--benchmarks=arithmetic"]) == 2
    shown = capsys.readouterr().err
    assert "--model" in shown
    assert "--output_dir" in shown


def test_an_unknown_command_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evl"]) == 2
    assert "did you mean `eval`" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert f"ns {command}" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_every_command_is_explained(command: str) -> None:
    from ns_eval.arguments import paths
    from ns_eval.resources import locate
    from ns_eval.schema import field_types
    from ns_eval.usage import field_docs

    schema = locate(COMMANDS[command].schema)
    for path in paths(schema):
        owner = schema
        for name in path.split(".")[:-1]:
            owner = field_types(owner)[name]
        assert field_docs(owner).get(path.rpartition(".")[2]), f"`{path}` of `ns {command}` has no line under it"


def test_module_and_script_are_the_same() -> None:
    shown = subprocess.run([sys.executable, "-m", "ns_eval"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("ns: evaluate reasoning models")


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, ns_eval.cli; ns_eval.cli.main(['--help']); print(sorted(m for m in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("hydra", "omegaconf", "numpy", "pandas", "pyarrow", "aiohttp", "submitit", "sympy", "rich", "yaml"):
        assert f"'{heavy}'" not in shown


def test_positional_words_are_taken_in_order() -> None:
    from ns_eval.show import ShowConfig

    given = parse(ShowConfig, ["benchmark", "aime24", "--json"])
    assert [(item.key, item.text) for item in given] == [("what", "benchmark"), ("name", "aime24"), ("json", "true")]


@pytest.mark.parametrize("what", ["benchmarks", "models", "judges", "rubrics", "servers", "prompts", "templates"])
def test_show_lists_what_can_be_named(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert main(["show", what, lines[0].split()[0]]) == 0
    assert capsys.readouterr().out.strip()


def test_show_counts_what_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "benchmarks", "--ready", "--json"]) == 0
    shown = capsys.readouterr()
    assert "arithmetic" in json.loads(shown.out)
    assert {entry["status"] for entry in json.loads(shown.out).values()} <= {"prepared", "ready"}
    assert "ready" in shown.err
