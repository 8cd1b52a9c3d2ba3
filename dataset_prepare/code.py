"""Programs to be written: HumanEval, MBPP, BigCodeBench, APPS, CodeContests.

An example instance: {"id": "HumanEval/0", "problem": "def has_close_elements …", "entry_point": "has_close_elements",
"tests": "def check(candidate): …\\n\\ncheck(has_close_elements)", "canonical_solution": "…"}

`tests` is a program that fails by an exception, or {"inputs": […], "outputs": […]} for programs that read and write text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ns_eval.records import Json

_MBPP_SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974)}


def human_eval(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The start of a function is the problem; upstream calls `check` on it after the definitions."""
    yield {
        "id": row["task_id"],
        "problem": row["prompt"],
        "starter_code": row["prompt"],
        "entry_point": row["entry_point"],
        "tests": f"{row['test']}\n\ncheck({row['entry_point']})\n",
        "canonical_solution": row["canonical_solution"],
    }


def mbpp(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The full set (`text`, `test_setup_code`) or the sanitized one (`prompt`, `test_imports`).

    The tests stand in the problem, as in its paper: without them a model cannot know the function's name.
    """
    text = row["text"] if "text" in row else row["prompt"]
    setup = row["test_setup_code"] if "test_setup_code" in row else "\n".join(row["test_imports"])
    asserts = [_unix(item) for item in row["test_list"]]
    shown = "\n".join(asserts)
    yield {
        "id": f"mbpp-{row['task_id']}",
        "problem": f"{text.strip()}\n\nYour code should pass these tests:\n\n{shown}",
        "tests": "\n".join([_unix(setup), *asserts]).strip() + "\n",
        "test_list": asserts,
        "canonical_solution": _unix(row["code"]),
    }


def mbpp_by_number(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """MBPP's own files hold all splits in one; a task's number says which it belongs to."""
    first, last = _MBPP_SPLITS[row["_split"]]
    if first <= int(row["task_id"]) <= last:
        yield from mbpp(row)


def bigcodebench(row: Mapping[str, Json], prompt: str = "instruct_prompt") -> Iterator[dict[str, Json]]:
    """`instruct_prompt` describes the function, `complete_prompt` begins it; the tests are a unittest class."""
    yield {
        "id": row["task_id"],
        "problem": row[prompt],
        "starter_code": row["code_prompt"],
        "entry_point": row["entry_point"],
        "tests": row["test"],
        "libs": row["libs"],
        "canonical_solution": row["canonical_solution"],
    }


def apps(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Solutions and tests are JSON in a text; a problem without tests cannot be judged and is left out."""
    tests = json.loads(row["input_output"]) if row["input_output"] else {}
    if not tests.get("inputs"):
        return
    solutions = json.loads(row["solutions"]) if row["solutions"] else []
    yield {
        "id": f"apps-{row['problem_id']}",
        "problem": row["question"],
        "starter_code": row["starter_code"] or None,
        "entry_point": tests.get("fn_name"),
        "tests": {"inputs": tests["inputs"], "outputs": tests["outputs"]},
        "subset_for_metrics": row["difficulty"],
        "canonical_solution": solutions[0] if solutions else None,
    }


def code_contests(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Public, private and generated tests count alike; `limit_s` is upstream's own time limit."""
    kinds = ("public_tests", "private_tests", "generated_tests")
    inputs = [text for kind in kinds for text in row[kind]["input"]]
    outputs = [text for kind in kinds for text in row[kind]["output"]]
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs with {len(outputs)} outputs")
    limit = row["time_limit"]
    yield {
        "id": row["name"],
        "problem": row["description"],
        "tests": {"inputs": inputs, "outputs": outputs},
        "limit_s": limit["seconds"] + limit["nanos"] / 1e9 if limit else None,
    }


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")
