"""Retrieval sets in BEIR's form as questions: the documents that are relevant to a query are its answers.

An example instance: {"id": "4641", "problem": "Where should I park my rainy-day fund?", "expected_answer": "A savings …",
"correct_answers": ["A savings …", "I keep …"]}
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from dataset_prepare.readers import Raw, read
from ns_eval.errors import DataError

_HEADER = ["query-id", "corpus-id", "score"]


def judged(path: Path) -> Iterator[Raw]:
    """The queries of a file of judgements (qrels: query, document, score), in its order, each with the texts of its relevant
    documents. `corpus` and `queries` lie beside the file or in the folder above, as JSON lines (.gz) or Parquet.

    Raises:
        DataError: neither of them is there; a query or document that is judged is not in them, by line.
    """
    wanted: dict[str, list[tuple[str, str]]] = {}
    for raw in read(path, "tsv", _HEADER):
        query, document, score = (str(raw.values[name]) for name in _HEADER)
        if [query, document, score] == _HEADER:
            continue
        if _number(score, raw.where) > 0:
            wanted.setdefault(query, []).append((document, raw.where))
    needed = {document for documents in wanted.values() for document, _ in documents}
    corpus, queries = _texts(path, "corpus", needed), _texts(path, "queries", set(wanted))
    for query, documents in wanted.items():
        first = documents[0][1]
        texts = [_found(corpus, document, "document", where) for document, where in documents]
        yield Raw(first, {"id": query, "question": _found(queries, query, "query", first), "ground_truths": texts})


def _texts(path: Path, name: str, needed: set[str]) -> dict[str, str]:
    """The text of every id that is needed."""
    places = (path.parent, path.parent.parent)
    patterns = (f"{name}.jsonl", f"{name}.jsonl.gz", f"{name}*.parquet", f"{name}/*.parquet", f"{name}/*.jsonl")
    found = next(
        (files for place, pattern in itertools.product(places, patterns) if (files := sorted(place.glob(pattern)))), []
    )
    if not found:
        raise DataError(
            f"{path}: there is no {name}.jsonl, {name}.jsonl.gz or {name}*.parquet beside it or in the folder above",
            hint=f"these judgements name queries and documents by id: their texts are in BEIR's {name}",
        )
    rows = (raw.values for file in found for raw in read(file))
    return {str(row["_id"]): str(row["text"]) for row in rows if str(row.get("_id")) in needed}


def _found(texts: dict[str, str], name: str, kind: str, where: str) -> str:
    if name not in texts:
        raise DataError(f"{where}: {kind} `{name}` is judged, but has no text")
    return texts[name]


def _number(score: str, where: str) -> float:
    try:
        return float(score)
    except ValueError as error:
        raise DataError(f"{where}: the score is `{score:.40}`, expected a number") from error
