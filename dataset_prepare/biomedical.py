"""Biomedicine: PubMedQA, BioASQ, MEDIQA, and sentences with tagged entities.

An example instance: {"id": "21645374", "problem": "Programmed cell death … Do mitochondria play a role …?",
"expected_answer": "yes", "subset_for_metrics": …}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dataset_prepare.readers import Raw
from ns_eval.errors import DataError
from ns_eval.records import Json

# MEDIQA 2019, task 3: reference scores 3 and 4 (complete, or excellent) are what its organisers count as right.
_RIGHT_SCORE = 3


def pubmedqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """The repository's row (an object keyed by PMID) or the hub's.

    Its abstract without the conclusion, then the question.
    """
    if "QUESTION" in row:
        key, question, contexts = row["_key"], row["QUESTION"], row["CONTEXTS"]
        conclusion = row["LONG_ANSWER"]
    else:
        key, question, contexts = row["pubid"], row["question"], row["context"]["contexts"]
        conclusion = row["long_answer"]
    abstract = "\n".join(contexts)
    yield {
        "id": str(key),
        "problem": f"{abstract}\n\n{question}",
        "question": question,
        "context": abstract,
        "expected_answer": row["final_decision"],
        "reference": conclusion,
    }


def bioasq(row: Mapping[str, Json], types: Sequence[str] = ("yesno",)) -> Iterator[dict[str, Json]]:
    """A file of the challenge is one object with a list of questions; of the kinds asked for, each becomes a row."""
    for asked in row["questions"]:
        if asked["type"] not in types:
            continue
        snippets = "\n".join(snippet["text"] for snippet in asked.get("snippets", ()))
        exact = asked["exact_answer"]
        yield {
            "id": asked["id"],
            "problem": f"{snippets}\n\n{asked['body']}" if snippets else asked["body"],
            "question": asked["body"],
            "expected_answer": exact.lower() if isinstance(exact, str) else _first(exact),
            "exact_answer": exact,
            "subset_for_metrics": asked["type"],
            "reference": _first(asked.get("ideal_answer")),
        }


def mediqa_xml(path: Path) -> Iterator[Raw]:
    """Every (question, answer) pair of a MEDIQA file of task 3, as upstream's attributes and texts."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{path}:{error.position[0]}: not XML ({error})") from error
    for question in root.iter("Question"):
        text = _text(question, "QuestionText")
        for answer in question.iter("Answer"):
            values: dict[str, Any] = {"QID": question.get("QID"), "QuestionText": text, **answer.attrib}
            yield Raw(
                f"{path}: {question.get('QID')}/{answer.get('AID')}", values | {"AnswerText": _text(answer, "AnswerText")}
            )


def mediqa(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Does this answer answer the question? Pairs of one question form a cluster: they are not independent."""
    score = int(row["ReferenceScore"])
    yield {
        "id": f"{row['QID']}-{row['AID']}",
        "problem": f"Question: {row['QuestionText']}\n\nAnswer: {row['AnswerText']}",
        "expected_answer": "yes" if score >= _RIGHT_SCORE else "no",
        "cluster": row["QID"],
        "reference_score": score,
        "reference_rank": int(row["ReferenceRank"]),
    }


def tagged(row: Mapping[str, Json], labels: Sequence[str] = ()) -> Iterator[dict[str, Json]]:
    """A sentence with BIO tags, as text or as indices into `labels`; sentences of one document form a cluster."""
    tokens = row["tokens"]
    tags = [labels[tag] if isinstance(tag, int) else str(tag) for tag in row["tags"]]
    if len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} tokens with {len(tags)} tags")
    yield {
        "problem": " ".join(tokens),
        "entities": list(entities(tokens, tags)),
        "tokens": tokens,
        "cluster": row.get("document") or None,
    }


def entities(tokens: Sequence[str], tags: Sequence[str]) -> Iterator[dict[str, Json]]:
    """{type, text, start, end} of each span of BIO tags, `end` exclusive; an I- that continues nothing opens one."""
    start = None
    for index, tag in enumerate([*tags, "O"]):
        kind = tag[2:]
        continues = start is not None and tag.startswith("I-") and kind == tags[start][2:]
        if start is not None and not continues:
            yield {"type": tags[start][2:], "text": " ".join(tokens[start:index]), "start": start, "end": index}
            start = None
        if start is None and tag != "O":
            start = index


def _first(value: Json) -> str | None:
    while isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else str(value)


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.find(name)
    return "" if found is None else " ".join("".join(found.itertext()).split())
