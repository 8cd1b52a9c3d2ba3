"""Judged files and human labels are read as they lie: ours, NeMo-Skills', with seeds and without."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from judges.equivalence import EquivalenceJudge
from judges.record import Call, judged_row, row_columns
from judges.rubric import RubricJudge
from judges.symbolic import SymbolicJudge
from ns_eval.errors import DataError
from ns_eval.records import Generation, Json, Question, Sample, Verdict, sample_row, write_jsonl
from summarize.judged import ANY, Judged, labelled, read_judged, read_labels
from summarize.reliability import disagreements, reliability
from summarize.reliability_text import report, report_disagreements
from tests.commands import ns
from tests.paths import SHARED, needs_shared

SYMBOLIC = SymbolicJudge()


def sample(answer: str, number: int, seed: int) -> Sample:
    question, generation = Question(f"q{number}", f"Problem {number}", "2"), Generation(f"\\boxed{{{answer}}}")
    return Sample(question, seed, "ok", generation, (SYMBOLIC.grade(question, generation),))


def judge_run(folder: Path, answers: Sequence[str], replies: dict[str, list[str]]) -> None:
    """Writes what a judge of these answers leaves: what the engine's loop does, without a server."""
    judge = EquivalenceJudge(audit=0.0)
    for seed in (0, 1):
        rows = []
        for number, answer in enumerate(answers):
            found = sample(answer, number, seed)
            verdict, call = judge.shortcut(found), None
            if verdict is None:
                said = tuple(Generation(text) for text in replies[answer])
                verdict = judge.verdict(found, said[0])
                repeats = tuple(judge.verdict(found, reply) for reply in said) if len(said) > 1 else ()
                call = Call("judge-7b", judge.call_key(found), said[:1], judge.shown(found), repeats=repeats)
            done = Sample(found.question, seed, "ok", found.generation, (*found.verdicts, verdict))
            rows.append(judged_row(sample_row(done), row_columns(judge, verdict, call)))
        write_jsonl(folder / f"output-rs{seed}.jsonl", rows)


REPLIES = {
    "3": ["Judgement: No", "Judgement: Yes"],
    "5": ["Judgement: Yes"],
    "7": ["who knows"],
    "\\text{idk}": ["Judgement: No"],
}


def test_what_a_judge_wrote_is_read_back(tmp_path: Path) -> None:
    judge_run(tmp_path, ["2", "2.0", "3", "5", "7"], REPLIES)
    rows = read_judged(tmp_path)
    assert [(row.question, row.seed, row.source, row.value) for row in rows[:5]] == [
        ("q0", 0, "identical", 1.0),
        ("q1", 0, "symbolic", 1.0),
        ("q2", 0, "model", 0.0),
        ("q3", 0, "model", 1.0),
        ("q4", 0, "model", None),
    ]
    assert (rows[4].status, rows[4].model, rows[4].judgement) == ("unparsed", "judge-7b", "who knows")
    assert (rows[2].repeats, rows[2].length, rows[2].predicted, rows[2].expected) == ((0.0, 1.0), 1, "3", "2")
    found = reliability(rows)
    assert (found.samples, found.missing, found.reasons) == (10, 2, {"unparsed": 2})
    assert found.sources == {"identical": 2, "symbolic": 2, "model": 4}
    assert found.agreements[0].confusion is not None
    assert (found.agreements[0].confusion.judge_only, found.agreements[0].confusion.both_wrong) == (2, 2)
    assert found.flips is not None and (found.flips.calls, found.flips.flipped) == (1, 1)


def test_ratings_are_read_by_their_overall_score(tmp_path: Path) -> None:
    judge = RubricJudge("helpfulness")
    question = Sample(Question("q", "How?"), None, "ok", Generation("So."))
    reply = Generation('{"comments": "c", "helpfulness": 4}')
    verdict = judge.verdict(question, reply)
    done = Sample(question.question, None, "ok", question.generation, (Verdict("symbolic", True), verdict))
    columns = row_columns(judge, verdict, Call("m", "k", (reply,), judge.shown(question)))
    write_jsonl(tmp_path / "output.jsonl", [judged_row(sample_row(done), columns)])
    rows = read_judged(tmp_path, "rubric")
    assert [(row.value, row.seed, row.length, row.scale) for row in rows] == [(4.0, None, 3, (1.0, 5.0))]
    assert reliability(rows).score == 4.0 and reliability(rows).agreements == ()
    assert rows[0].judgement == reply.text
    # A 4 does not contradict a right answer; a person's 5 does.
    assert disagreements(rows) == [] and len(disagreements(labelled(rows, {("q", ANY): 5.0}))) == 1


@needs_shared
def test_nemo_skills_judgements_are_read_and_the_unreadable_ones_are_missing(tmp_path: Path) -> None:
    for seed in (0, 1):
        name = f"output-rs{seed}.jsonl-test"
        source = SHARED / "data" / "judge_outputs" / "nemo_skills_answer_judge" / name
        shutil.copyfile(source, tmp_path / name.removesuffix("-test"))
    rows = read_judged(tmp_path)
    values = [row.value for row in rows]
    assert (len(rows), values.count(1.0), values.count(0.0), values.count(None)) == (24, 11, 11, 2)
    assert {row.source for row in rows} == {"model"}


def test_nemo_skills_shortcuts_are_no_calls(tmp_path: Path) -> None:
    texts = [
        "Reasoning: No answer was provided.\nJudgement: No",
        "Reasoning: The two answers are identical.\nJudgement: Yes",
    ]
    write_jsonl(
        tmp_path / "output.jsonl", [{"id": n, "judgement": text} for n, text in enumerate([*texts, "Judgement: **Yes**"])]
    )
    assert [(row.source, row.value) for row in read_judged(tmp_path)] == [
        ("no_answer", 0.0),
        ("identical", 1.0),
        ("model", 1.0),
    ]


def test_a_folder_without_verdicts_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "output.jsonl", [{"id": "q", "generation": "x"}])
    with pytest.raises(DataError, match="no verdict of the judge `judge` in 1 output files"):
        read_judged(tmp_path)
    (tmp_path / "output.jsonl").write_text("{broken\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"output\.jsonl:1"):
        read_judged(tmp_path)


def test_the_report_of_a_folder_names_what_a_reader_must_know(tmp_path: Path) -> None:
    judge_run(tmp_path / "judged", ["2", "2.0", "3", "5", "7"], REPLIES)
    labels = labels_file(tmp_path, {"id": "q3", "label": "no"}, {"id": "q2", "label": "no"})
    lines = report(tmp_path / "judged", model="judge-1b", labels=labels)
    assert lines[0] == "judged by the model: 4 of 10 samples; without a call: 4 (2 identical, 2 symbolic)"
    assert lines[1].startswith("missing: 2 (2 unparsed); score 0.6000 to 0.8000")
    assert any(line.startswith("against human labels: agreement 50.00% (2 of 4)") for line in lines)
    assert lines[-1] == "! 2 of 10 judgements are missing: above 2% the score is no headline"
    text = report_disagreements(tmp_path / "judged", labels=labels)
    # Both seeds answered alike: one call, read once.
    assert text.startswith("q3 seeds 0, 1: judge 1, label 0\n  problem    Problem 3\n  expected   2\n  predicted  5")


def labels_file(tmp_path: Path, *rows: dict[str, Json]) -> Path:
    path = tmp_path / "labels.jsonl"
    write_jsonl(path, rows)
    return path


def test_labels_come_as_words_truth_values_or_numbers_with_a_seed_or_for_all(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [
        {"id": "a", "seed": 0, "label": "Yes"},
        {"id": "a", "seed": None, "label": False},
        {"id": 7, "label": 4},
    ]
    labels = read_labels(labels_file(tmp_path, *rows))
    assert labels == {("a", 0): 1.0, ("a", None): 0.0, ("7", ANY): 4.0}
    judged = [Judged("a", 0, 1.0), Judged("a", 1, 1.0), Judged("a", None, 1.0), Judged("7", 3, 4.0)]
    assert [row.label for row in labelled(judged, labels)] == [1.0, None, 0.0, 4.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a"}], r"labels\.jsonl:1: a label needs"),
        ([{"id": "a", "label": "perhaps"}], "neither yes or no nor a number"),
        ([{"id": "a", "label": 1}, {"id": "a", "label": 0}], r"labels\.jsonl:2.*two different labels"),
    ],
)
def test_a_broken_label_is_named_by_its_line(tmp_path: Path, rows: list[dict[str, Json]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(labels_file(tmp_path, *rows))


def test_labels_of_another_run_are_refused() -> None:
    with pytest.raises(DataError, match="none of the 1 labels"):
        labelled([Judged("q1", 0, 1.0)], {("other", 0): 1.0})


def test_the_verdict_in_the_record_wins_over_the_raw_text(tmp_path: Path) -> None:
    done = Sample(Question("q", "P", "1"), 0, "ok", Generation("x"), (Verdict("judge", True),))
    write_jsonl(tmp_path / "output-rs0.jsonl", [{**sample_row(done), "judgement": "Judgement: No"}])
    assert read_judged(tmp_path)[0].value == 1.0


@needs_shared
def test_the_command_prints_of_xstest_what_its_labels_give(tmp_path: Path) -> None:
    """GPT-4 on 450 completions, against people: full compliance or not, from files to the line on the screen."""
    path = SHARED / "data" / "judge_outputs" / "xstest_gpt4_labels" / "xstest_v2_completions_gpt4_gpteval.csv"
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    judge, human = ([row[name] == "1_full_compliance" for row in found] for name in ("gpt4_label", "final_label"))
    rows = [
        {"id": row["id"], "problem": row["prompt"], "expected_answer": "", "generation": row["completion"]} for row in found
    ]
    write_jsonl(
        tmp_path / "judged" / "output.jsonl", [{**row, "judge_correct": it} for row, it in zip(rows, judge, strict=True)]
    )
    labels = labels_file(tmp_path, *({"id": row["id"], "label": it} for row, it in zip(rows, human, strict=True)))
    printed = ns("summarize_results", "judged", f"--labels={labels}", cwd=tmp_path).stdout
    counts = Counter(zip(judge, human, strict=True))
    cells = [counts[one, other] for one, other in itertools.product((True, False), repeat=2)]
    theirs = cohens_kappa(np.array(cells).reshape(2, 2)).kappa
    assert f"against human labels: agreement 93.78% (422 of 450), kappa {theirs:.3f} (" in printed
    names = ("both right", "only the judge", "only the reference", "both wrong")
    assert ", ".join(f"{name} {cell}" for name, cell in zip(names, cells, strict=True)) in printed
