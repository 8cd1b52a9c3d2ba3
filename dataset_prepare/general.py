"""Dialogues, instructions, safety, finance, documents and charts."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping

from ns_eval.records import Json


def mt_bench(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """FastChat's row, or the hub's (`prompt`, `prompt_id`): two turns, of which the first is the problem."""
    turns = row["turns"] if "turns" in row else row["prompt"]
    key = row["question_id"] if "question_id" in row else row["prompt_id"]
    yield {
        "id": f"mt-bench-{key}",
        "problem": turns[0],
        "turns": list(turns),
        "subset_for_metrics": row["category"],
        "reference_answers": row.get("reference") or None,
    }


def ifeval(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """What each instruction asks stands in `kwargs`; Parquet fills absent keys with null, which is no argument."""
    yield {
        "id": f"ifeval-{row['key']}",
        "problem": row["prompt"],
        "instruction_id_list": list(row["instruction_id_list"]),
        "kwargs": [{key: value for key, value in given.items() if value is not None} for given in row["kwargs"]],
    }


def truthfulqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The hub's row or the CSV's, where answers are joined by `; `."""
    best = row["best_answer"] if "best_answer" in row else row["Best Answer"]
    yield {
        "problem": row["question"] if "question" in row else row["Question"],
        "expected_answer": best,
        "correct_answers": _several(row, "correct_answers", "Correct Answers"),
        "incorrect_answers": _several(row, "incorrect_answers", "Incorrect Answers"),
        "category": row["category"] if "category" in row else row["Category"],
    }


def toxic_chat(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Is what the user wrote toxic? `human_annotation` says who decided."""
    yield {
        "id": row["conv_id"],
        "problem": row["user_input"],
        "expected_answer": "yes" if int(row["toxicity"]) else "no",
        "jailbreaking": int(row["jailbreaking"]),
        "human_annotation": row["human_annotation"],
    }


def fiqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Long answers of a forum; the CSV writes their list as JSON or as Python does. Only the retrieval form has ids."""
    truths = row["ground_truths"]
    truths = list(listed(truths) if isinstance(truths, str) else truths)
    named = {"id": row["id"]} if "id" in row else {}
    yield named | {
        "problem": row["question"],
        "expected_answer": truths[0],
        "correct_answers": truths,
        "reference": truths[0],
    }


def docvqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """A page and a question; any of `correct_answers` counts. Questions of one page form a cluster."""
    answers = list(row["answers"] or ())
    yield {
        "id": f"docvqa-{row['questionId']}",
        "problem": row["question"],
        "expected_answer": answers[0] if answers else None,
        "correct_answers": answers,
        "images": [row["image"]],
        "cluster": str(row["docId"]),
        "question_types": list(row["question_types"] or ()),
    }


def chartqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Subsets `human` and `machine`: who wrote the question."""
    answers = row["label"] if isinstance(row["label"], list) else [row["label"]]
    kind = row["human_or_machine"]
    yield {
        "problem": row["query"],
        "expected_answer": answers[0],
        "correct_answers": list(answers),
        "images": [row["image"]],
        "subset_for_metrics": {"0": "human", "1": "machine"}.get(str(kind), str(kind)),
    }


def listed(text: str) -> list[Json]:
    """A JSON list, or a Python one."""
    try:
        found = json.loads(text)
    except ValueError:
        found = ast.literal_eval(text)
    if not isinstance(found, list):
        raise ValueError(f"expected a list, found {text[:40]!r}")
    return found


def _several(row: Mapping[str, Json], name: str, csv_name: str) -> list[str]:
    if name in row:
        return list(row[name])
    return [answer.strip() for answer in row[csv_name].split(";") if answer.strip()]
