"""The small table behind every number: one row per (question, seed), no text. `eval-results/<benchmark>/scores.parquet`

It is derived: written as a by-product of grading, and made again from the output files where they have changed since.

    from ns_eval.scores import Meta, Scores, row, table, write       # the engine, while it grades
    from ns_eval.scores import load                                  # whoever reads
"""

from ns_eval.scores.folder import build, load, sources
from ns_eval.scores.lines import find_outputs
from ns_eval.scores.table import (
    FORMAT,
    Meta,
    Row,
    Same,
    Scores,
    Source,
    answer_classes,
    question_hash,
    read,
    row,
    table,
    write,
)

__all__ = [
    "FORMAT",
    "Meta",
    "Row",
    "Same",
    "Scores",
    "Source",
    "answer_classes",
    "build",
    "find_outputs",
    "load",
    "question_hash",
    "read",
    "row",
    "sources",
    "table",
    "write",
]
