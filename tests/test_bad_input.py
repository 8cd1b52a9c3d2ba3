"""Whatever a user has wrong is one clear error with what to do, before or instead of a broken run; never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ns, start
from tests.peers.scripted import HTML, Reply, answer, closed_port, peer, reply
from tests.peers.simulated import simulated

TINY = ["--model=tinymath", "--output_dir=out"]


@contextlib.contextmanager
def serving(*replies: Reply) -> Iterator[str]:
    """A scripted server in a thread, as an address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = peer(*replies)
    try:
        server = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
        yield server.base_url
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def remote(address: str, *more: str, model: str = "m") -> list[str]:
    where = [f"--model={model}", "--server_type=openai", f"--server_address={address}", "--output_dir=out"]
    return ["eval", *where, "--benchmarks=arithmetic:2", *more]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((reply(401, {"error": {"message": "bad key"}}),), ["refuses", "api_key_env"]),
        ((reply(404, {"error": {"message": "The model `m` does not exist."}}),), ["`m`"]),
        ((HTML,), ["web page"]),
    ],
    ids=["401", "404", "html"],
)
def test_a_server_that_refuses_everything_is_one_error(tmp_path: Path, said: tuple[Reply, ...], words: list[str]) -> None:
    with serving(*said) as address:
        told = ns(*remote(address), cwd=tmp_path, code=4)
    for word in words:
        assert word in told.stderr


def test_a_server_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{closed_port()}/v1"
    told = ns(*remote(address), cwd=tmp_path, code=4)
    assert address in told.stderr
    assert "--server_address" in told.stderr


def test_a_server_that_stops_answering_half_way_leaves_errors_that_the_same_command_asks_again(tmp_path: Path) -> None:
    gone = [answer("\\boxed{1}")] * 40
    with serving(*gone, Reply(close=True)) as address:
        argv = remote(address, "++inference.timeout_s=5", "--max_samples=30")
        told = ns(*argv, cwd=tmp_path, code=6, timeout_s=300)
    assert "errors" in told.stderr
    assert "ns eval" in told.stderr
    rows = [
        json.loads(line) for path in (tmp_path / "out").rglob("output-rs*.jsonl") for line in path.read_text().splitlines()
    ]
    failed = [row for row in rows if row["status"] == "error"]
    assert len(rows) == 60
    assert failed
    assert all(row["error"] and not row["generation"] and "symbolic_correct" not in row for row in failed)
    with serving(answer("\\boxed{1}")) as address:
        ns(*remote(address, "++inference.timeout_s=5", "--max_samples=30"), cwd=tmp_path)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nothing/here/at/all", ["no such file or folder"]),
        ("tinymth", ["did you mean `tinymath`"]),
        ("empty", ["GGUF"]),
        ("text.gguf", ["text.gguf"]),
    ],
)
def test_a_model_that_is_none_is_refused(tmp_path: Path, model: str, words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.gguf").write_text("not a model")
    process = start(
        "eval", f"--model={model}", "--server_type=llamacpp", "--benchmarks=arithmetic:1", "--output_dir=out", cwd=tmp_path
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode in (2, 3, 4)
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_a_model_without_a_server_type_is_asked_about(tmp_path: Path) -> None:
    told = ns("eval", "--model=/models/x", "--benchmarks=arithmetic:1", "--output_dir=out", cwd=tmp_path, code=2)
    assert "--server_type" in told.stderr


@pytest.mark.parametrize("server_type", ["nemo", "megatron"])
def test_engines_that_are_gone_name_their_replacement(tmp_path: Path, server_type: str) -> None:
    argv = [f"--server_type={server_type}", "--model=/m", "--benchmarks=arithmetic:1", "--output_dir=out"]
    assert "vllm" in ns("eval", *argv, cwd=tmp_path, code=2).stderr


def test_a_benchmark_that_is_not_prepared_says_how(tmp_path: Path) -> None:
    told = ns("eval", *TINY, "--benchmarks=aime25:2", f"--data_dir={tmp_path}", cwd=tmp_path, code=3)
    assert "ns prepare_data aime25" in told.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", ["test.jsonl:17", "JSON"]),
        ('{"id": "q3", "problem": "1+1", "expected_answer": "2"}', ["test.jsonl:17", "`q3`", "line 4"]),
        ('{"id": "q16", "problem": "1+1"}', ["test.jsonl:17", "expected_answer"]),
        ('{"id": "q16", "expected_answer": "2"}', ["test.jsonl:17", "problem"]),
    ],
    ids=["broken", "duplicate", "no answer", "no problem"],
)
def test_a_broken_question_file_is_named_with_its_line(tmp_path: Path, line: str, words: list[str]) -> None:
    rows = [json.dumps({"id": f"q{i}", "problem": f"{i}+1", "expected_answer": str(i + 1)}) for i in range(16)]
    (tmp_path / "aime25").mkdir()
    (tmp_path / "aime25" / "test.jsonl").write_text("\n".join([*rows, line]) + "\n")
    told = ns("eval", *TINY, "--benchmarks=aime25:2", f"--data_dir={tmp_path}", cwd=tmp_path, code=3)
    for word in words:
        assert word in told.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    told = ns("eval", *TINY, "--benchmarks=arithmetic:1", cwd=tmp_path, code=2)
    assert "--output_dir" in told.stderr
    assert "is a file" in told.stderr


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    told = ns("eval", "--model=tinymath", "--output_dir=/proc/no/out", "--benchmarks=arithmetic:1", cwd=tmp_path, code=2)
    assert "--output_dir" in told.stderr


def test_a_prompt_that_does_not_fit_is_a_recorded_state(tmp_path: Path) -> None:
    rows = [
        {"id": "short", "problem": "1+1", "expected_answer": "2"},
        {"id": "long", "problem": "1+" * 3000, "expected_answer": "2"},
    ]
    (tmp_path / "aime25").mkdir()
    (tmp_path / "aime25" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = ["--benchmarks=aime25:1", f"--data_dir={tmp_path}", "++inference.tokens_to_generate=64"]
    told = ns("eval", *TINY, *argv, cwd=tmp_path, code=6)
    (path,) = (tmp_path / "out").rglob("output-rs0.jsonl")
    by_id = {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}
    assert by_id["long"]["status"] == "error"
    assert by_id["long"]["error"].startswith("context_window_exceeded")
    assert by_id["short"]["status"] != "error"
    assert "1 of 2" in told.stderr


def test_control_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    with simulated("--slots", "8", "--us-per-token", "1000") as engine:
        process = start(*remote(f"{engine.url}/v1", model="sim"), cwd=tmp_path)
        while not list((tmp_path / "out").rglob("output-rs*.jsonl-async")):
            assert process.poll() is None
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "the same command goes on where it stopped" in err
