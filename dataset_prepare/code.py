"""Programs to be written: HumanEval, MBPP, EvalPlus, BigCodeBench, LiveCodeBench, APPS, CodeContests.

An example instance: {"id": "HumanEval/0", "problem": "def has_close_elements …", "entry_point": "has_close_elements",
"tests": "def check(candidate): …\\n\\ncheck(has_close_elements)", "canonical_solution": "…"}

`tests` is a program that fails by an exception, or {"inputs": […], "outputs": […]} for programs that read and write text.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping

from ns_eval.records import Json

_MBPP_SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974)}

_STARTER = "Complete this code:\n\n```python\n{starter}\n```"
_STDIN = "Write a program that reads the input from standard input and prints the answer to standard output."
_EVALPLUS = """
import copy as _copy, json as _json, math as _math
_scope = {{}}
exec({reference!r}, _scope)
def _same(got, want):
    if isinstance(want, float) or isinstance(got, float):
        close = isinstance(got, (int, float)) and isinstance(want, (int, float))
        return close and (got == want or _math.isclose(got, want, rel_tol=1e-7, abs_tol=max({tolerance!r}, 1e-6)))
    if isinstance(want, (list, tuple)):
        return type(got) is type(want) and len(got) == len(want) and all(map(_same, got, want))
    return got == want
for _number, _arguments in enumerate(_json.loads({inputs!r})):
    _want = _scope[{name!r}](*_copy.deepcopy(_arguments))
    _got = {name}(*_copy.deepcopy(_arguments))
    assert {agree}, f"input {{_number}}: another result"
"""
# HumanEval/32 asks for a root of a polynomial, and any one holds: as in evalplus/eval/_special_oracle.py.
_AGREE = {"find_zero": '(_same(_got, _want) or abs(_scope["poly"](*_arguments, _got)) <= max({tolerance!r}, 1e-6))'}


def human_eval(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The start of a function is the problem; upstream calls `check` on it after the definitions."""
    if "plus_input" in row:
        yield from evalplus(row)
        return
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


def mbpp_plus(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """EvalPlus' rows on the hub: `test` is a program that calls the function on every input and compares."""
    if "plus_input" in row:
        raise ValueError("MbppPlus.jsonl has lost the tuples of its inputs; take the Parquet file of evalplus/mbppplus")
    shown = "\n".join(_unix(item) for item in row["test_list"])
    setup = "\n".join(row.get("test_imports") or [])
    yield {
        "id": f"mbpp-{row['task_id']}",
        "problem": f"{row['prompt'].strip()}\n\nYour code should pass these tests:\n\n{shown}",
        "tests": f"{setup}\n{_unix(row['test'])}".strip() + "\n",
        "canonical_solution": _unix(row["code"]),
    }


def evalplus(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """A line of the file that EvalPlus' package downloads (HumanEvalPlus.jsonl): inputs without results.

    The reference solution runs beside the program on every input, in the sandbox, and the results are compared.
    """
    name = row["entry_point"]
    inputs = [*row["base_input"], *row["plus_input"]]
    setup = row.get("contract") or ""
    tolerance = float(row.get("atol") or 0.0)
    reference = row["prompt"] + row["canonical_solution"]
    yield {
        "id": row["task_id"],
        "problem": row["prompt"],
        "starter_code": row["prompt"],
        "entry_point": name,
        "tests": _EVALPLUS.format(
            reference=reference.replace(setup, "") if setup else reference,
            name=name,
            inputs=json.dumps(inputs),
            tolerance=tolerance,
            agree=_AGREE.get(name, "_same(_got, _want)").format(tolerance=tolerance),
        ),
        "canonical_solution": row["canonical_solution"],
    }


def livecodebench(row: Mapping[str, Json], first: str = "", last: str = "") -> Iterator[dict[str, Json]]:
    """Rows of a release; `first` and `last` are the days between which the contest was held, both included.

    Public and private tests count alike. A row without `func_name` reads and writes text.
    """
    day = str(row["contest_date"])[:10]
    if (first and day < first) or (last and day > last):
        return
    cases = [*json.loads(row["public_test_cases"]), *_private_cases(row["private_test_cases"])]
    functional = any(case["testtype"] == "functional" for case in cases)
    metadata = json.loads(row["metadata"]) if row["metadata"] else {}
    yield {
        "id": row["question_id"],
        "problem": _with_form(row["question_content"], row["starter_code"]),
        "entry_point": metadata["func_name"] if functional else None,
        "tests": {"inputs": [case["input"] for case in cases], "outputs": [case["output"] for case in cases]},
        "subset_for_metrics": row["difficulty"],
        "contest_date": day,
    }


def _with_form(text: str, starter: str | None) -> str:
    """The task with what is expected: the function that the tests will call, or a program that reads and writes."""
    return f"{text.strip()}\n\n{_STARTER.format(starter=starter) if starter else _STDIN}"


def _private_cases(text: str) -> list[Json]:
    """JSON, or JSON in a pickled text, compressed, in base 64. Nothing but a text is taken out of the pickle."""
    try:
        cases = json.loads(text)
    except ValueError:
        cases = json.loads(_TextOnly(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    return list(cases)


class _TextOnly(pickle.Unpickler):
    """Refuses whatever could run code."""

    def find_class(self, module: str, name: str) -> Json:
        raise ValueError(f"the private tests hold {module}.{name}, expected a text")


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
        "problem": _with_form(row["question"], row["starter_code"]),
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
        "problem": _with_form(row["description"], None),
        "tests": {"inputs": inputs, "outputs": outputs},
        "limit_s": limit["seconds"] + limit["nanos"] / 1e9 if limit else None,
    }


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")
