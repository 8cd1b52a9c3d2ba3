"""`ns check` says, one line each, what is wrong before a run, and what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ns_eval.checks.golds import golds
from ns_eval.checks.lines import Line, shown
from ns_eval.checks.probing import Target, probed
from ns_eval.cli import main
from ns_eval.config import InferenceConfig
from ns_eval.endpoint import Endpoint
from ns_eval.options import EvalConfig
from ns_eval.plan import evaluation
from ns_eval.records import Request, Sampling
from ns_eval.schema import field_types
from tests.commands import ns
from tests.paths import REPO
from tests.peers.odd_model import odd_model


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fingerprints are kept in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def looked_at(way: str, **changes: Any) -> dict[str, Line]:
    """The lines on such a server, by name; of several with one name the last."""

    async def look(url: str) -> list[Line]:
        endpoint = Endpoint(url, "m", context=2048)
        target = Target(endpoint, chat=True, seeds_hold=True, engine=way, model="the model", run="here", **changes)
        if "adapters" in changes:
            adapter = dataclasses.replace(endpoint, model="mine")
            target = dataclasses.replace(target, adapters={"mine": adapter})
        return await probed(target)

    with odd_model(way) as url:
        return {line.name: line for line in asyncio.run(look(url))}


# (what the server does, the check that says so, its state, what it says)
ODD = [
    ("good", "seeds", "ok", "16 seeds give 16 different texts"),
    ("good", "temperature", "ok", "0 gives one text"),
    ("good", "same seed", "ok", "16 times of 16"),
    ("good", "model name", "ok", "its list of models holds `m`"),
    ("strict", "model name", "ok", r"a wrong name is refused (404)"),
    ("fixed_seed", "seeds", "fail", "16 seeds at temperature 0.7 give one and the same text: pass@k would be pass@1"),
    ("same", "temperature", "fail", "temperature 0.7 gives the text of temperature 0 with every seed: it has no effect"),
    ("restless", "temperature", "fail", "temperature 0 gives 4 different texts of 4"),
    ("forgetful", "same seed", "warn", "the same text 0 times of 16"),
    ("any_name", "model name", "fail", "it answers to any name, and it lists no models"),
]


@pytest.mark.parametrize(("way", "name", "state", "said"), ODD, ids=[f"{way}: {name}" for way, name, *_ in ODD])
def test_what_a_server_does_is_recognised(way: str, name: str, state: str, said: str) -> None:
    line = looked_at(way)[name]
    assert (line.state, said in line.said) == (state, True), line
    assert line.todo or state == "ok", "each that is not ok says what to do"


def test_an_adapter_without_effect_is_recognised() -> None:
    line = looked_at("dead_adapter", adapters={})["adapter mine"]
    assert line.state == "fail" and "adapter mine changes nothing" in line.said
    assert looked_at("good", adapters={})["adapter mine"].state == "ok"


def test_a_base_that_answers_as_its_adapter_while_that_is_asked_is_recognised() -> None:
    line = looked_at("leaky", adapters={})["adapter mine"]
    assert line.state == "fail" and "adapter mine leaks into the base" in line.said and "merged" in line.todo


def test_the_same_model_elsewhere_is_compared_by_its_log_probabilities() -> None:
    assert "kept" in looked_at("good")["log-probabilities"].said
    same = looked_at("strict")["log-probabilities"]
    assert same.state == "ok" and "0 nats a token from good (here)" in same.said
    other = looked_at("shifted")["log-probabilities"]
    assert other.state == "fail" and "1 nats a token from" in other.said and "config.json" in other.todo


def test_the_longest_question_is_asked() -> None:
    long = Request("q7", 0, Sampling(max_tokens=2040), messages=({"role": "user", "content": "word " * 50},))
    assert looked_at("small", longest={"b": long})["longest b"].state == "fail"
    line = looked_at("good", longest={"b": long})["longest b"]
    assert line.state == "warn" and "2040 are wanted for the answer and 1998 are left" in line.said


def test_a_key_that_a_hint_names_exists() -> None:
    files = [path for name in ("ns_eval", "judges", "summarize", "dataset_prepare") for path in (REPO / name).rglob("*.py")]
    named = {key for path in files for key in re.findall(r"\+\+((?:inference|server)\.[a-z_]+)", path.read_text())}
    assert len(named) > 10
    known = {f"{part}.{key}" for part in ("inference", "server") for key in field_types(field_types(EvalConfig)[part])}
    assert named <= known


def planned(tmp_path: Path, **judge: Any) -> Any:
    config = EvalConfig(model="tinymath", output_dir=str(tmp_path / "out"), benchmarks=["arithmetic:1"])
    config = dataclasses.replace(config, server_type="llamacpp", inference=InferenceConfig(), judge_options=judge)
    config.server.name = "llamacpp"
    return evaluation(config, num_jobs=1).runs[0]


def test_references_are_right_to_their_own_judge_and_a_judge_that_takes_anything_is_found(tmp_path: Path) -> None:
    run = planned(tmp_path)
    (good,) = asyncio.run(golds(run, 20))
    assert good.state == "ok" and good.said.startswith("20 of 20 references are right, an empty and a wrong")
    rows = [json.loads(line) for line in run.questions.read_text().splitlines()]
    deaf = dataclasses.replace(run, judge={**run.judge, "extract_from_boxed": False, "extract_regex": "never (.*)"})
    (none,) = asyncio.run(golds(deaf, 20, quick=True))
    assert none.state == "fail" and "none of 20 references is right to its own judge" in none.said
    assert len(rows) == 100
    lenient = dataclasses.replace(run, judge={"_target_": "tests.peers.lenient.LenientJudge"})
    (any_answer,) = asyncio.run(golds(lenient, 20, quick=True))
    assert any_answer.state == "fail" and "the judge takes an empty answer to" in any_answer.said


def test_the_command_names_everything_that_is_wrong_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NS_DATA_DIR", str(tmp_path / "data"))
    words = ["--model=nowhere", "--server_type=vllm", "--benchmarks=arithmetic:2,gsm8k", "--adapter=a:none"]
    assert main(["check", *words, "--login_only"]) == 7
    told = capsys.readouterr().out
    for said in (
        "fail  model",
        "fail  adapters",
        "ok    benchmark arithmetic",
        "fail  benchmark gsm8k",
        "ns prepare_data gsm8k",
    ):
        assert said in told


def test_a_model_is_checked_on_a_server_that_is_started_for_it(tmp_path: Path) -> None:
    told = ns("check", "--model=tinymath", "--benchmarks=arithmetic:2", cwd=tmp_path).stdout
    for name in ("server", "model name", "seeds", "temperature", "same seed", "longest arithmetic", "log-probabilities"):
        assert f"ok    {name} " in told, told
    assert "0 failed" in told


def test_eval_says_what_can_be_seen_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["eval", "--model=m", "--server_address=http://127.0.0.1:9/v1", "--benchmarks=arithmetic:1", "--output_dir=out"]
    told = ns(*words, "++server.api_key_env=NO_SUCH_KEY", cwd=tmp_path, code=4).stderr
    assert "$NO_SUCH_KEY is not set" in told and not (tmp_path / "out").exists()


def test_a_run_stops_where_an_adapter_changes_nothing(tmp_path: Path) -> None:
    with odd_model("dead_adapter") as url:
        words = ["eval", "--model=m", f"--server_address={url}", "--adapter=mine", "--benchmarks=arithmetic:1"]
        told = ns(*words, "--output_dir=out", cwd=tmp_path, code=4).stderr
    assert "adapter mine changes nothing" in told
    assert not list((tmp_path / "out").glob("*/eval-results/*/output*")), "nothing was asked"


def test_lines_stand_in_columns() -> None:
    lines = [Line("ok", "key", "set"), Line("fail", "model name", "wrong", "give another")]
    assert shown(lines) == "ok    key         set\nfail  model name  wrong\n                  -> give another"
