"""Pictures go with their question: as data URLs in a chat message, checked before anything is asked."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from ns_eval import pictures
from ns_eval.cli import main
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Question, Request, Sampling
from tests.commands import start
from tests.peers.scripted import answer, peer

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepared benchmark of one question about one picture."""
    folder = tmp_path / "data" / "docvqa"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "page.png").write_bytes(PIXEL)
    row = {
        "id": "1",
        "problem": "What is the title?",
        "expected_answer": "Report",
        "correct_answers": ["Report", "The Report"],
        "images": ["images/page.png"],
    }
    (folder / "validation.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def test_a_picture_reaches_the_server_and_its_answer_is_scored(prepared: Path) -> None:
    asyncio.run(picture_is_sent(prepared))


async def picture_is_sent(prepared: Path) -> None:
    async with peer(answer(r"\boxed{the Reporx}")) as server:
        words = ["eval", "--model=m", "--server_type=openai", f"--server_address={server.base_url}"]
        words += ["--benchmarks=docvqa", "--output_dir=out", f"--data_dir={prepared / 'data'}"]
        process = start(*words, cwd=prepared)
        _, said = await asyncio.to_thread(process.communicate, timeout=300)
        assert process.returncode == 0, said
    sent = next(body for body in server.bodies if "The picture" in str(body) or "document" in str(body))
    picture, words_sent = sent["messages"][-1]["content"]
    assert picture["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert "What is the title?" in words_sent["text"]
    line = json.loads((prepared / "out/eval-results/docvqa/output-rs0.jsonl").read_text())
    assert line["verdicts"]["anls"]["scores"]["anls"] == pytest.approx(0.9)
    assert "base64" not in json.dumps(line)


def test_a_model_that_reads_text_alone_is_not_asked(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--benchmarks=docvqa", f"--output_dir={prepared / 'o'}", f"--data_dir={prepared / 'data'}"]
    assert main(["eval", "--model=tinymath", *words]) == 3
    assert "its questions hold pictures, and tinymath reads text alone" in capsys.readouterr().err


def test_a_missing_picture_is_named_before_anything_starts(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (prepared / "data/docvqa/images/page.png").unlink()
    words = ["--benchmarks=docvqa", f"--output_dir={prepared / 'o'}", f"--data_dir={prepared / 'data'}"]
    assert main(["eval", "--model=m", "--server_address=http://127.0.0.1:9/v1", *words]) == 3
    said = capsys.readouterr().err
    assert "question 1: its picture" in said
    assert "page.png does not exist" in said


def test_pictures_have_a_limit_and_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.png").write_bytes(PIXEL)
    asked = Question("7", "?", meta={"images": ["page.png"]})
    assert pictures.files_of(asked, tmp_path) == [tmp_path / "page.png"]
    monkeypatch.setattr(pictures, "LIMIT_BYTES", 10)
    with pytest.raises(DataError, match="question 7: its pictures have"):
        pictures.files_of(asked, tmp_path)
    with pytest.raises(DataError, match=r"page\.tiff is none of"):
        pictures.files_of(Question("7", "?", meta={"images": ["page.tiff"]}), tmp_path)


def test_a_text_cannot_hold_a_picture(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(PIXEL)
    with pytest.raises(UsageError, match="text route"):
        pictures.with_pictures(Request("1", None, Sampling(), text="What?"), [tmp_path / "page.png"])
