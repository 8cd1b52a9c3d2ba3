"""Multiple choice: question, options and the right one, in any of the ways upstreams write them -> a lettered problem.

An example instance: {"id": "mmlu-0", "problem": "What is 2 + 2?\\n\\nA) 3\\nB) 4", "question": "What is 2 + 2?",
"choices": ["3", "4"], "expected_answer": "B", "subset_for_metrics": "elementary_mathematics"}
"""

from __future__ import annotations

import ast
import random
import string
from collections.abc import Iterator, Mapping, Sequence

from ns_eval.records import Json

_CONSUMED = ("question", "context", "choices", "answer")


def lettered(
    row: Mapping[str, Json], answer: str = "index", choice_columns: Sequence[str] = (), shuffle: bool = False
) -> Iterator[dict[str, Json]]:
    """One question with lettered options.

    The options stand in `choices` (texts, {text, label} or {choices, labels}) or in `choice_columns`. `answer` says what the
    column of that name holds: index (from 0), letter, label (one of the options' own) or text. `shuffle` mixes the options
    by the question's own seed, for sets that give the right one first.
    """
    choices, labels = options_of(row, choice_columns)
    right = _right(row["answer"], answer, choices, labels)
    if shuffle:
        choices, right = shuffled(choices, right, str(row["question"]))
    yield composed(row, choices, choice_columns) | {"expected_answer": letter(right)}


def composed(row: Mapping[str, Json], choices: Sequence[str], consumed: Sequence[str] = ()) -> dict[str, Json]:
    """The row with `problem`, `question` and `choices`; NeMo-Skills lays options out the same way, `A) text`."""
    context = str(row.get("context") or "").strip()
    question = str(row["question"]).strip()
    asked = f"{context}\n\n{question}" if context else question
    listed = "\n".join(f"{letter(index)}) {choice}" for index, choice in enumerate(choices))
    kept = {key: value for key, value in row.items() if key not in (*_CONSUMED, *consumed) and not key.startswith("_")}
    return kept | {"problem": f"{asked}\n\n{listed}", "question": asked, "choices": list(choices)}


def letter(index: int) -> str:
    """0 is A."""
    return string.ascii_uppercase[index]


def options_of(row: Mapping[str, Json], columns: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """(texts, upstream's own labels); without labels the letters."""
    if columns:
        texts = [str(row[column]) for column in columns]
        return texts, [letter(index) for index in range(len(texts))]
    given = row["choices"]
    if isinstance(given, str):
        given = ast.literal_eval(given)  # MMLU-Pro's own result files write the list as Python does
    if isinstance(given, Mapping):
        texts = [str(text) for text in given.get("text", given.get("choices"))]
        labels = [str(label) for label in given.get("label", given.get("labels"))]
    else:
        texts = [str(text) for text in given]
        labels = [letter(index) for index in range(len(texts))]
    if len(texts) < 2 or len(texts) != len(labels):
        raise ValueError(f"{len(texts)} options with {len(labels)} labels")
    return texts, labels


def shuffled(choices: Sequence[str], right: int, seed: str) -> tuple[list[str], int]:
    """The options in an order that the question alone decides, and where the right one went."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    return [choices[index] for index in order], order.index(right)


def mmlu(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The hub's row, or one of the original CSV files, whose names hold the subject: `anatomy_test.csv`."""
    if "choices" in row:
        yield from lettered({**row, "subset_for_metrics": row["subject"]})
    else:
        subject = str(row["_file"]).rpartition("_")[0]
        made = {"question": row["question"], "answer": row["answer"], "subset_for_metrics": subject}
        yield from lettered({**made, **{name: row[name] for name in "ABCD"}}, "letter", tuple("ABCD"))


def hellaswag(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The beginning of a scene and four endings. Its test split has no labels, so the validation split is scored."""
    yield from lettered(
        {
            "id": f"hellaswag-{row['ind']}",
            "question": f"{row['activity_label']}: {row['ctx']}",
            "choices": row["endings"],
            "answer": int(row["label"]),
            "subset_for_metrics": row.get("split_type"),
        }
    )


def truthful_mc1(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """One true answer, which stands first upstream: mixed here."""
    texts, truths = _targets(row["mc1_targets"])
    yield from lettered({"question": row["question"], "choices": texts, "answer": truths.index(True)}, shuffle=True)


def truthful_mc2(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Several true answers: `labels` says which, for the probability mass on them; as letters they are `A, C`."""
    texts, truths = _targets(row["mc2_targets"])
    order = list(range(len(texts)))
    random.Random(str(row["question"])).shuffle(order)
    made = composed({"question": row["question"]}, [texts[index] for index in order])
    labels = [int(truths[index]) for index in order]
    right = ", ".join(letter(index) for index, truth in enumerate(labels) if truth)
    yield made | {"labels": labels, "expected_answer": right}


def gpqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The right answer and three wrong ones, mixed by the question's own seed."""
    wrong = [str(row[f"Incorrect Answer {number}"]).strip() for number in (1, 2, 3)]
    made = {
        "id": row["Record ID"],
        "question": row["Question"],
        "choices": [str(row["Correct Answer"]).strip(), *wrong],
        "answer": 0,
        "subset_for_metrics": row["High-level domain"],
        "subdomain": row["Subdomain"],
        "canary": row.get("Canary String"),
    }
    yield from lettered(made, shuffle=True)


def science(row: Mapping[str, Json], pictures: bool = False) -> Iterator[dict[str, Json]]:
    """ScienceQA with pictures, or without: each of the two benchmarks leaves the other's questions out."""
    if bool(row.get("image")) != pictures:
        return
    made = {
        "question": row["question"],
        "context": row["hint"],
        "choices": row["choices"],
        "answer": row["answer"],
        "subset_for_metrics": row["subject"],
        "grade": row["grade"],
        "reference_solution": row["solution"] or None,
    }
    yield from lettered(made | ({"images": [row["image"]]} if pictures else {}))


def bbq(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Three answers to an ambiguous or a settled scene; what the bias score needs stays with the question."""
    made = {
        "id": f"{row['category']}-{row['example_id']}",
        "context": row["context"],
        "question": row["question"],
        "choices": [row["ans0"], row["ans1"], row["ans2"]],
        "answer": row["label"],
        "subset_for_metrics": row["context_condition"],
        "question_polarity": row["question_polarity"],
        "category": row["category"],
        "answer_info": row["answer_info"],
    }
    groups = (row.get("additional_metadata") or {}).get("stereotyped_groups")
    if groups is not None:
        made["stereotyped_groups"] = groups
    yield from lettered(made)


def _targets(targets: Mapping[str, Json]) -> tuple[list[str], list[bool]]:
    """The hub's {choices, labels}, or the repository's {text: 1 or 0}."""
    if "choices" in targets and "labels" in targets:
        return list(targets["choices"]), [bool(label) for label in targets["labels"]]
    return list(targets), [bool(label) for label in targets.values()]


def _right(answer: Json, kind: str, choices: Sequence[str], labels: Sequence[str]) -> int:
    if kind == "index":
        index = int(answer)
    elif kind == "letter":
        index = string.ascii_uppercase.index(str(answer).strip())
    elif kind == "label":
        index = labels.index(str(answer))
    else:
        index = list(choices).index(str(answer))
    if not 0 <= index < len(choices):
        raise ValueError(f"answer {answer!r} is none of {len(choices)} options")
    return index
