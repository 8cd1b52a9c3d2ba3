"""Real runs of others come out at the figures of EXPECTED.json: NeMo-Skills' through the command, the rest by rows."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns_eval.scores import Row
from summarize.questions import Selection, per_question, samples
from summarize.results import ResultsConfig, main
from summarize.tables import Options, Table, tables
from tests.paths import SHARED, needs_shared
from tests.runs_on_disk import row, scores_of

pytestmark = needs_shared
OUTPUTS = SHARED / "data" / "model_outputs"


def figures(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHARED / "data" / "EXPECTED.json").read_text())[f"model_outputs/{name}"]
    return found


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def table_of(rows: list[Row]) -> Table:
    """Votes count over literally equal answers, as upstream does."""
    scores = scores_of(rows)
    return tables("b", samples(scores, Selection(literal=True)), scores.meta, Options())[0]


def number(table: Table, label: str) -> float:
    value = next(line for line in table.rows if line.label == label).cells["symbolic_correct"].value
    assert value is not None
    return value


def test_nemo_skills_run_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        shutil.copy(OUTPUTS / "nemo_skills_math_rs" / f"output-rs{seed}.test", tmp_path / f"output-rs{seed}.jsonl")
    assert main(ResultsConfig(results_dirs=[str(tmp_path)], clusters="literal")) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())[tmp_path.name]
    wanted = figures("nemo_skills_math_rs")
    assert found["pass@1[3]"]["symbolic_correct"] == pytest.approx(wanted["pass@1[avg-of-3]"])
    assert found["pass@3"]["symbolic_correct"] == pytest.approx(wanted["pass@3"])
    seeds = [figures(f"nemo_skills_math_rs/output-rs{seed}.test") for seed in range(3)]
    # Upstream counts null alone; an answer of no characters is none either, and there are two (symbolic_correct is false).
    blank = sum(line["predicted_answer"] == "" for seed in range(3) for line in lines(tmp_path / f"output-rs{seed}.jsonl"))
    assert found["pass@1[3]"]["no_answer"] == pytest.approx((sum(item["predicted_none"] for item in seeds) + blank) / 150)
    for seed, wanted in enumerate(seeds):
        alone = tmp_path / str(seed)
        alone.mkdir()
        shutil.copy(tmp_path / f"output-rs{seed}.jsonl", alone)
        main(ResultsConfig(results_dirs=[str(alone)]))
        single = json.loads((alone / "metrics.json").read_text())[str(seed)]["pass@1"]
        assert single["symbolic_correct"] == pytest.approx(wanted["symbolic_correct"] / wanted["rows"])


def test_qwen_math_with_a_reward_model() -> None:
    wanted = figures("qwen25_math_n8/math_cot.1-50.jsonl")
    rows = [
        row(str(line["idx"]), seed, pred or None, bool(right), scores={"reward_model_score": reward[0]})
        for line in lines(OUTPUTS / "qwen25_math_n8" / "math_cot.1-50.jsonl")
        for seed, (pred, right, reward) in enumerate(zip(line["pred"], line["score"], line["pred_score"], strict=True))
    ]
    table = table_of(rows)
    assert number(table, "pass@1[8]") == pytest.approx(wanted["pass_at_1"])
    assert number(table, "pass@8") == pytest.approx(wanted["pass_at_8"])
    assert number(table, "majority@8") == pytest.approx(wanted["majority_at_8_literal"])
    assert number(table, "rm_best@8") == pytest.approx(wanted["rm_best_at_8"])


def test_four_models_in_the_part_of_four_samples() -> None:
    wanted = figures("gsm8k_openai_4models/example_model_solutions.1-200.jsonl")
    path = OUTPUTS / "gsm8k_openai_4models" / "example_model_solutions.1-200.jsonl"
    models = list(wanted["accuracy"])
    rows = [
        row(str(at), seed, line[model]["solution"].rpartition("A: ")[2], line[model]["is_correct"])
        for at, line in enumerate(lines(path))
        for seed, model in enumerate(models)
    ]
    assert number(table_of(rows), "pass@4") == pytest.approx(wanted["any_correct"])
    for seed, model in enumerate(models):
        assert number(table_of([item for item in rows if item.seed == seed]), "pass@1") == pytest.approx(
            wanted["accuracy"][model]
        )


def test_tool_integrated_gsm8k() -> None:
    def right(pred: str, truth: str) -> bool:
        try:
            return abs(float(pred) - float(truth)) <= 1e-3
        except ValueError:
            return False

    rows = [
        row(str(line["idx"]), 0, line["pred"][0] or None, right(line["pred"][0], line["gt"]))
        for line in lines(OUTPUTS / "tora70b_gsm8k_tir" / "test.1-200.jsonl")
    ]
    assert number(table_of(rows), "pass@1") == pytest.approx(
        figures("tora70b_gsm8k_tir/test.1-200.jsonl")["accuracy_numeric"]
    )


def test_aqua_options() -> None:
    wanted = figures("aqua_gpt4_cot")
    rows = []
    for at, line in enumerate(lines(OUTPUTS / "aqua_gpt4_cot" / "aqua_gpt4_s0_e-1_03_31_22_24.jsonl")):
        found = re.search(r"([A-E])\)", line["generated_prediction"])
        rows.append(row(str(at), 0, found and found[1], bool(found and found[1] == line["answer"])))
    table = table_of(rows)
    assert number(table, "pass@1") == pytest.approx(wanted["naive_accuracy"])
    assert table.rows[-1].no_answer == pytest.approx(wanted["naive_no_answer"] / wanted["rows"])


def test_twelve_thousand_rows_of_mmlu_pro() -> None:
    wanted = figures("mmlu_pro_phi3mini")
    archive = zipfile.ZipFile(OUTPUTS / "mmlu_pro_phi3mini" / "model_outputs_Phi-3-mini-4k-instruct_5shots.zip")
    answers = json.loads(archive.read(archive.namelist()[0]))
    rows = [
        row(str(at), 0, line["pred"], line["pred"] == line["answer"], subset=line["category"])
        for at, line in enumerate(answers)
    ]
    scores = scores_of(rows)
    whole, *parts = tables("mmlu-pro", samples(scores), scores.meta, Options())
    assert number(whole, "pass@1") == pytest.approx(wanted["pred_equals_answer"])
    assert whole.rows[-1].no_answer == pytest.approx(wanted["pred_none"] / wanted["rows"])
    assert sum(part.rows[-1].entries for part in parts) == wanted["rows"]


def test_pubmedqa_of_mirage() -> None:
    wanted = figures("pubmedqa_mirage/gpt-35-turbo-16k.cot.jsonl")
    truth = json.loads((SHARED / "data" / "pubmedqa" / "test_ground_truth.json").read_text())
    rows = []
    for line in lines(OUTPUTS / "pubmedqa_mirage" / "gpt-35-turbo-16k.cot.jsonl"):
        name = re.sub(r"\D", "", line["file"])
        chosen = re.search(r'"?answer_choice"?\s*:\s*"?\s*([A-C])', line["outputs"][0])
        answer = chosen and {"A": "yes", "B": "no", "C": "maybe"}[chosen[1]]
        rows.append(row(name, 0, answer, answer == truth[name]))
    table = table_of(rows)
    assert number(table, "pass@1") == pytest.approx(wanted["accuracy"])
    assert table.rows[-1].no_answer == pytest.approx(wanted["no_answer"] / wanted["rows"])


def zeroeval_answer(output: str) -> str | None:
    """The answer as upstream reads it (yuchenlin/ZeroEval at 570c6269): the first object, else what follows the key."""
    start = output.find("{")
    depth = 0
    for at in range(start, len(output)):
        depth += {"{": 1, "}": -1}.get(output[at], 0)
        if not depth:
            try:
                return str(json.loads(output[start : at + 1].replace("\n", ""))["answer"])
            except (ValueError, KeyError):
                break
    found = re.search(r'"answer"\s*:\s*"([^"]*?)"', output) or re.search(r'"?answer"?\s*:\s*([^,\s]*)', output)
    return found and found[1]


def first_number(answer: str) -> float | None:
    plain = answer.replace("$", "").replace(",", "").strip()
    whole = re.fullmatch(r"\(?(-?\d+)\)?/\(?(\d+)\)?", plain)
    if whole:
        return int(whole[1]) / int(whole[2])
    found = re.search(r"-?\d+(\.\d+)?", plain)
    return None if found is None else float(found[0])


def test_zeroeval_comes_out_to_its_printed_digits() -> None:
    """Upstream prints one figure for all rows and counts equal first numbers as right; null is no answer."""
    wanted = figures("zeroeval_math_l5/gpt-3.5-turbo-0125.json")["upstream_summary"]
    rows = []
    for line in json.loads((OUTPUTS / "zeroeval_math_l5" / "gpt-3.5-turbo-0125.json").read_text()):
        answer = zeroeval_answer(line["output"][0])
        right = answer is not None and first_number(answer) == first_number(line["answer"]) is not None
        rows.append(row(str(line["id"]), 0, answer, right))
    table = table_of(rows)
    assert table.rows[-1].entries == wanted["Total"]
    assert f"{100 * number(table, 'pass@1'):.2f}" == wanted["Acc"]
    assert f"{100 * (table.rows[-1].no_answer or 0):.2f}" == wanted["No answer"]


@pytest.mark.parametrize(("name", "right"), [("gsm8k", 2), ("mmlu", 5), ("humaneval", 5)])
def test_the_five_rows_of_nemo_evaluator(name: str, right: int) -> None:
    answers = json.loads((OUTPUTS / "nemo_evaluator_fixtures" / f"{name}.json").read_text())
    rows = [row(str(line["idx"]), 0, line["extracted_answer"], line["scoring_details"]["correct"]) for line in answers]
    table = table_of(rows)
    assert number(table, "pass@1") == sum(line["reward"] for line in answers) / 5 == right / 5
    assert table.rows[-1].no_answer == 0.0


def test_pass_at_k_of_a_hundred_programs_a_task() -> None:
    """The labels of the programs are given; the estimator must come out at the published way of counting."""
    wanted = figures("humaneval_codegen16b_n100")
    rows = [
        row(line["task_id"], seed, None, bool(passed), status="ok")
        for line in lines(OUTPUTS / "humaneval_codegen16b_n100" / "labels.jsonl")
        for seed, passed in enumerate(line["passed"])
    ]
    found = per_question(samples(scores_of(rows)), "symbolic_correct")
    for k in (1, 2, 5, 10, 50, 100):
        assert found.passed[:, k].mean() == pytest.approx(wanted[f"pass@{k}"], rel=1e-12)
    assert np.isnan(found.voted[:, 1:]).all(), "programs do not vote"
