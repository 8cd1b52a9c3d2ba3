"""The commands as functions: the examples of docs/python.md hold, and importing them loads nothing heavy."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import ns_eval
import summarize
from ns_eval.api import words_of
from tests.paths import REPO
from tests.test_summary_imports import imported


def test_the_examples_of_the_documentation_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest((REPO / "docs/python.md").read_text(), {}, "docs/python.md", None, 0)
    assert len(examples.examples) > 20
    told: list[str] = []
    assert doctest.DocTestRunner().run(examples, out=told.append).failed == 0, "".join(told)
    assert (
        "ns eval --model=tinymath --benchmarks=arithmetic:2" in ns_eval.Run(Path("first"), ()).manifest.commands[0].command
    )


@pytest.mark.parametrize("line", ["from ns_eval import evaluate, generate", "from summarize import compare, load_run"])
def test_importing_the_functions_imports_nothing_heavier_than_numpy(line: str) -> None:
    heavy = {"pandas", "torch", "scipy", "sympy", "hydra", "omegaconf", "matplotlib", "nltk", "transformers", "aiohttp"}
    assert not heavy & imported(line)


def test_the_packages_themselves_import_nothing() -> None:
    loaded = imported("import ns_eval, summarize")
    assert {name for name in loaded if name.partition(".")[0] in ("ns_eval", "summarize")} == {"ns_eval", "summarize"}


@pytest.mark.parametrize("package", [ns_eval, summarize])
def test_a_name_that_is_none_is_none(package: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        _ = package.evaluat  # type: ignore[attr-defined]  # the point of the test


def test_options_become_the_words_of_the_command_line() -> None:
    words = words_of({"benchmarks": ["a:2", "b"], "inference": {"temperature": 0.6}, "force": True, "split": None})
    assert words == ["--benchmarks=a:2,b", "++inference.temperature=0.6", "--force=true"]
