"""Mathematics: GSM8K, MATH and its kin, Humanity's Last Exam.

An example instance: {"id": "gsm8k-0", "problem": "Janet's ducks lay 16 eggs …", "expected_answer": "18", …}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ns_eval.records import Json

_MARK = "####"
# The dollars around a formula, not those of an amount.
_MATH_MARK = re.compile(r"(?<!\\)\$")


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


def boxed(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """MATH and Minerva: the answer is the last \\boxed{} of the solution; without one the row has no answer.

    `level` is "Level 5" upstream and 5 here; `subject` is the configuration where the row does not name its own type.
    """
    made = {key: value for key, value in row.items() if key not in ("type", "level")}
    level = str(row.get("level", "")).removeprefix("Level ")
    yield made | {
        "expected_answer": last_boxed(row["reference_solution"]),
        "level": int(level) if level.isdecimal() else None,
        "subset_for_metrics": row.get("type") or None,
    }


def last_boxed(text: str) -> str | None:
    """What stands in the last \\boxed{…} or \\fbox{…}, or after a bare `\\boxed `; None where there is none."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    opening = text.find("{", start)
    between = text[start:opening] if opening >= 0 else text[start:]
    if between.strip() not in ("\\boxed", "\\fbox"):
        # `\boxed 2$` is one token long.
        return text[start:].split(maxsplit=1)[1].split("$")[0].split()[0].rstrip(".")
    depth = 0
    for index in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[opening + 1 : index].strip()
    return None


def olympiad(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Open questions of OlympiadBench in English: several answers are one list, joined by commas as upstream joins them.

    `unit` and `error` (the tolerance its authors allow) stay with the question.
    """
    context = (row.get("context") or "").strip()
    yield {
        "id": f"olympiadbench-{row['id']}",
        "problem": f"{context}\n\n{row['question']}" if context else row["question"],
        "expected_answer": ", ".join(_MATH_MARK.sub("", answer).strip() for answer in row["final_answer"]),
        "reference_solution": "\n\n".join(row["solution"]),
        "subset_for_metrics": row["subfield"],
        "answer_type": row["answer_type"],
        "is_multiple_answer": row["is_multiple_answer"],
        "unit": row["unit"],
        "error": row["error"],
    }
