"""Every command line that source 002 prints runs as it stands, on evaluations of real outputs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from summarize.analyze import main
from tests.paths import SHARED, needs_shared
from tests.rankings_on_disk import real_dataset

pytestmark = needs_shared
# What the document writes in angle brackets.
FILLED = {"<your-eval-id>": "4", "<baseline-1>": "0", "<baseline-2>": "1"}


def command_lines() -> list[list[str]]:
    """The words behind `python analyze.py` of the document, continued lines joined."""
    if not SHARED.is_dir():
        return []
    text = next((SHARED / "sources").glob("002*.txt")).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("python analyze.py ")]
    for name, value in FILLED.items():
        lines = [line.replace(name, value) for line in lines]
    return [shlex.split(line)[2:] for line in dict.fromkeys(lines)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reasonscape")
    real_dataset(folder)
    return folder


def test_the_document_prints_seventeen_of_them() -> None:
    assert len(command_lines()) == 17


@pytest.mark.parametrize("words", command_lines(), ids=lambda words: " ".join(words)[:70])
def test_a_command_of_the_document(
    words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(words) == 0
    out = capsys.readouterr().out
    options = dict(zip(words[2::2], words[3::2], strict=True))
    written = Path(options["--output"]).read_bytes() if "--output" in options else out.encode()
    if options.get("--format") == "png":
        assert written.startswith(b"\x89PNG")
        return
    if options.get("--format") == "json":
        assert isinstance(json.loads(written), list)
        return
    if words[0] == "evals":
        wanted = {
            "gpt-4": ["GPT-4 (CoT)"],
            "my-model": ["my-model ToRA 70B"],
            "size:small": ["OpenAI 6b_finetuning", "OpenAI 6b_verification", "NeMo"],
            "size:small,family:llama": ["OpenAI 6b_verification", "NeMo"],
        }
        labels = [re.split(r"  +", line)[2] for line in out.splitlines()[1:]]
        assert labels == wanted.get(options.get("--search") or options.get("--groups", ""), labels)
        assert len(labels) in (1, 2, 3, 7)
        return
    models = set(re.findall(r"^\| (.*?) \| (?:easy|medium|hard|all) ", written.decode(), re.MULTILINE))
    filters = json.loads(options.get("--filters", "{}"))
    listed = json.loads((place / "data" / "dataset-m12x.json").read_text())["evals"]
    assert models == {item["label"] for number, item in enumerate(listed) if kept(number, item["groups"], filters)}


def kept(number: int, groups: list[str], filters: dict[str, Any]) -> bool:
    """The decided logic, spelt out anew: any value of a facet, every facet."""
    facets: dict[str, list[str]] = {}
    for group in filters.get("groups", []):
        facets.setdefault(group.split(":")[0], []).append(group)
    in_groups = all(any(group in groups for group in own) for own in facets.values())
    return in_groups and ("eval_id" not in filters or number in filters["eval_id"])


def test_production_sizes_are_not_empty_although_the_document_says_and(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No model is medium and large; the document's scenario 1 means either."""
    data = str(place / "data" / "dataset-m12x.json")
    assert main(["scores", data, "--filters", '{"groups": ["size:medium", "size:large"]}', "--draws=0"]) == 0
    assert "my-model ToRA 70B" in (out := capsys.readouterr().out) and "GPT-4 (CoT)" in out


def test_an_unknown_verb_names_the_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score"]) == 2
    assert "analyze takes evals or scores, did you mean `scores`" in capsys.readouterr().err
