"""A dataset of evaluations for the tests of the rankings: the real model outputs, and small made-up runs."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ns_eval.scores import Row, question_hash
from tests.paths import SHARED
from tests.runs_on_disk import row, scores_file, scores_of

OUTPUTS = SHARED / "data" / "model_outputs"


def run_of(folder: Path, tasks: Mapping[str, Iterable[Row]], **meta: Any) -> Path:
    """A run folder with a small table for each task."""
    for task, rows in tasks.items():
        place = folder / "eval-results" / task
        place.mkdir(parents=True)
        scores_file(place, scores_of(rows, **meta))
    return folder


def answers(pattern: str, *, start: int = 0, **more: Any) -> list[Row]:
    """One question a letter: + right, - wrong, t cut, n without an answer, e failed."""
    rows = []
    for at, letter in enumerate(pattern):
        status = {"t": "truncated", "n": "no_answer", "e": "error"}.get(letter, "ok")
        verdict = None if letter in "te" else letter == "+"
        fields = {"completion_tokens": 100, "seconds": 2.0, **more}
        rows.append(row(f"q{start + at}", 0, None if letter in "tne" else "7", verdict, status=status, **fields))
    return rows


def dataset_file(path: Path, evaluations: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"evals": list(evaluations), **more}))
    return path


def real_dataset(folder: Path) -> Path:
    """`data/dataset-m12x.json` below the folder: evaluations of the real outputs, in the source's groups.

    gsm8k of four OpenAI models and of ToRA; MATH of NeMo-Skills; AQuA of GPT-4, and a tenth of MMLU-Pro in its name.
    """
    runs = folder / "data" / "runs"
    gsm8k = OUTPUTS / "gsm8k_openai_4models" / "example_model_solutions.1-200.jsonl"
    lines = [json.loads(line) for line in gsm8k.read_text().splitlines()]
    evaluations = []
    for name, groups in {
        "6b_finetuning": ["family:gpt", "size:small"],
        "6b_verification": ["family:llama", "size:small"],
        "175b_finetuning": ["family:llama", "size:large"],
        "175b_verification": ["family:qwen", "size:large"],
    }.items():
        run_of(runs / name, {"gsm8k": [_gsm8k(at, line, name) for at, line in enumerate(lines)]})
        evaluations.append({"label": f"OpenAI {name}", "model": name, "results": f"runs/{name}", "groups": groups})
    run_of(runs / "tora", {"gsm8k": _tora(lines)})
    tora = {
        "label": "my-model ToRA 70B",
        "model": "tora-70b",
        "results": ["runs/tora"],
        "groups": ["family:llama", "size:medium"],
    }
    math = runs / "nemo" / "eval-results" / "math"
    math.mkdir(parents=True)
    for seed in range(3):
        shutil.copy(OUTPUTS / "nemo_skills_math_rs" / f"output-rs{seed}.test", math / f"output-rs{seed}.jsonl")
    nemo = {"label": "NeMo", "results": "runs/nemo", "groups": ["family:llama", "size:small"], "sampler": "t=0.7"}
    run_of(runs / "gpt4", {"aqua": _aqua(), "mmlu-pro": _mmlu_pro()})
    gpt4 = {"label": "GPT-4 (CoT)", "model": "gpt-4", "results": "runs/gpt4", "groups": ["family:gpt", "size:large"]}
    return dataset_file(folder / "data" / "dataset-m12x.json", [*evaluations, tora, nemo, gpt4], chance={"aqua": 0.2})


def _gsm8k(at: int, line: Mapping[str, Any], model: str) -> Row:
    answer = line[model]["solution"].rpartition("A: ")[2]
    tokens = len(line[model]["solution"].split())
    hashed = question_hash(line["question"], line["ground_truth"])
    return row(str(at), 0, answer or None, line[model]["is_correct"], question_hash=hashed, completion_tokens=tokens)


def _tora(lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The same questions, of which it answered the first 150 here: an incomplete run."""
    known = {line["question"]: question_hash(line["question"], line["ground_truth"]) for line in lines}
    rows = []
    for text in (OUTPUTS / "tora70b_gsm8k_tir" / "test.1-200.jsonl").read_text().splitlines()[:150]:
        line = json.loads(text)
        right = bool(re.fullmatch(r"-?[\d.]+", line["pred"][0])) and abs(float(line["pred"][0]) - float(line["gt"])) <= 1e-3
        hashed = known[line["question"]]
        rows.append(row(str(line["idx"]), 0, line["pred"][0] or None, right, question_hash=hashed, completion_tokens=300))
    return rows


def _aqua() -> list[Row]:
    path = OUTPUTS / "aqua_gpt4_cot" / "aqua_gpt4_s0_e-1_03_31_22_24.jsonl"
    rows = []
    for at, text in enumerate(path.read_text().splitlines()):
        line = json.loads(text)
        found = re.search(r"([A-E])\)", line["generated_prediction"])
        right = bool(found and found[1] == line["answer"])
        rows.append(row(str(at), 0, found and found[1], right, status="ok" if found else "truncated"))
    return rows


def _mmlu_pro() -> list[Row]:
    archive = zipfile.ZipFile(OUTPUTS / "mmlu_pro_phi3mini" / "model_outputs_Phi-3-mini-4k-instruct_5shots.zip")
    lines = json.loads(archive.read(archive.namelist()[0]))[::10]
    return [
        row(
            str(at),
            0,
            line["pred"],
            line["pred"] == line["answer"],
            chance=1 / len(line["options"]),
            tier=("easy", "medium", "hard")[at % 3],
            completion_tokens=200,
        )
        for at, line in enumerate(lines)
    ]
