"""Mathematics: GSM8K, MATH and its kin, Humanity's Last Exam.

An example instance: {"id": "gsm8k-0", "problem": "Janet's ducks lay 16 eggs …", "expected_answer": "18", …}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ns_eval.records import Json

_MARK = "####"


def gsm8k(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """`answer` is the working, then `#### 1,200`; the number loses its commas, as in NeMo-Skills."""
    solution, mark, answer = row["answer"].rpartition(_MARK)
    if not mark:
        raise ValueError(f"no `{_MARK}` in the answer")
    yield {
        "problem": row["question"],
        "expected_answer": answer.strip().replace(",", ""),
        "reference_solution": solution.strip(),
    }


def hle(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Only questions without a picture. `canary` stays in the file: it is what keeps these rows out of training sets."""
    if row["image"]:
        return
    yield {
        "id": row["id"],
        "problem": row["question"],
        "expected_answer": row["answer"],
        "answer_type": row["answer_type"],
        "reference_solution": row["rationale"],
        "raw_subject": row["raw_subject"],
        "subset_for_metrics": row["category"],
        "author_name": row["author_name"],
        "canary": row["canary"],
    }
