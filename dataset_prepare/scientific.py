"""Scientific text: SciERC documents.

An example instance: {"id": "ICCV_1995_2_abs", "problem": "This paper presents an algorithm …",
"entities": [{"type": "Method", "text": "algorithm", …}], "relations": [{"type": "USED-FOR", "head": …, "tail": …}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ns_eval.records import Json


def scierc(row: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """One document of SciERC's JSON lines. Its indices count tokens of the whole document, both ends included."""
    tokens = [token for sentence in row["sentences"] for token in sentence]

    def text(first: int, last: int) -> str:
        return " ".join(tokens[first : last + 1])

    yield {
        "id": row["doc_key"],
        "problem": " ".join(tokens),
        "entities": [
            {"type": kind, "text": text(first, last), "start": first, "end": last + 1}
            for sentence in row["ner"]
            for first, last, kind in sentence
        ],
        "relations": [
            {"type": kind, "head": text(*head), "tail": text(*tail)}
            for sentence in row["relations"]
            for *ends, kind in sentence
            for head, tail in [(ends[:2], ends[2:])]
        ],
    }
