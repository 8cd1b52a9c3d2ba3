"""docs/data.md is followed word by word: a benchmark of one's own, outside the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ns_eval import benchmarks, prompts, questions, resources
from ns_eval.cli import main
from ns_eval.records import Sampling
from tests.commands import ns
from tests.paths import REPO

PAGE = (REPO / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_documented_benchmark_of_ones_own_is_prepared_and_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.setattr(resources, "_own", [])  # a process takes hydra.searchpath once; here each test is its own
    yaml = re.search(r"```yaml\n# /my/conf/benchmark/capitals\.yaml\n(.*?)```", PAGE, re.DOTALL)
    command = re.search(r"^ns (prepare_data capitals) '(hydra\.searchpath=.*)'$", PAGE, re.MULTILINE)
    assert yaml and command
    (tmp_path / "conf" / "benchmark").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "conf" / "benchmark" / "capitals.yaml").write_text(yaml[1].replace("/my/data", str(tmp_path / "data")))
    (tmp_path / "data" / "capitals.csv").write_text(
        'question,capital\n"What is the capital of Peru?",Lima\n"Of Chad?",N\'Djamena\n'
    )

    words = [*command[1].split(), command[2].replace("/my/conf", str(tmp_path / "conf"))]
    assert main(words) == 0, capsys.readouterr().err
    benchmark = benchmarks.find("capitals")
    first, second = questions.load(benchmark, "test", tmp_path / "prepared").questions
    assert (first.id, first.expected_answer, second.expected_answer) == ("capitals-0", "Lima", "N'Djamena")
    sent = prompts.request(prompts.load(benchmark.prompt), first, 0, Sampling())
    assert sent.messages is not None and "capital of Peru" in sent.messages[-1]["content"]
    resources.conf_file("judge", benchmark.judge)

    asked = re.search(
        r"^ns (eval --model=tinymath --benchmarks=capitals:4 .*) '(hydra\.searchpath=.*)'$", PAGE, re.MULTILINE
    )
    assert asked
    search = asked[2].replace("/my/conf", str(tmp_path / "conf"))
    done = ns(*asked[1].split(), search, cwd=tmp_path, env={"NS_DATA_DIR": str(tmp_path / "prepared")}, timeout_s=300)
    assert "capitals" in done.stdout
    assert len(list((tmp_path / "out/eval-results/capitals").glob("output-rs?.jsonl"))) == 4


def test_the_documented_commands_name_benchmarks_that_exist() -> None:
    for line in re.findall(r"^ns prepare_data (.*)$", PAGE, re.MULTILINE):
        for word in line.split("#")[0].split():
            if not word.startswith(("-", "'")) and word != "capitals":
                assert benchmarks.find(word).name
