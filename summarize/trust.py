"""What stands below the tables of judged benchmarks: how far their judges can be trusted, and what to read of them.

ns summarize_results OUT --labels=labels.jsonl
ns show disagreements OUT
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ns_eval import manifest
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json, loads, read_jsonl
from ns_eval.scores import find_outputs
from summarize.discover import Found, discover
from summarize.judged import read_labels
from summarize.reliability_text import report, report_disagreements
from summarize.selected import described, is_selection, selection_of


def reports(printed: Sequence[tuple[str, Found]], labels: Path | None) -> str:
    """The report of every judged benchmark; empty where nothing is judged by a model.

    Raises:
        DataError: labels of other samples, or a broken line.
        UsageError: labels, and nothing that they could be compared with.
    """
    found = [(name, item.folder, judge) for name, item in printed for judge in judges_of(item.folder)]
    chosen = [(name, item.folder if is_selection(item.folder) else selection_of(item)) for name, item in printed]
    if labels is not None:
        read_labels(labels)
        if not found:
            raise UsageError(
                "--labels: no benchmark here was judged by a model", hint="ns eval … --judge=math ++judge.model=…"
            )
    lines = [f"{name}: {described(folder)}\n" for name, folder in chosen if folder is not None]
    return "".join([*lines, *(_block(name, folder, judge, labels) for name, folder, judge in found)])


def show_disagreements(output_dir: Path, labels: Path | None, most: int) -> str:
    """Of every judged benchmark of a run, the samples on which its judge is contradicted.

    Raises:
        DataError: no results, or nothing that a model judged.
    """
    found = [(item.name, item.folder, judge) for item in discover(output_dir).benchmarks for judge in judges_of(item.folder)]
    if not found:
        raise DataError(f"{output_dir}: nothing in it was judged by a model", hint="ns eval … --judge=math ++judge.model=…")
    blocks = [
        f"{name}, judge {judge}\n\n{report_disagreements(folder, judge=judge, labels=labels, most=most)}"
        for name, folder, judge in found
    ]
    return "\n\n\n".join(blocks)


def judges_of(folder: Path) -> list[str]:
    """The model judges whose verdicts a folder holds, read off its first line: ours, or NeMo-Skills' only one."""
    first = next(_first_rows(folder), {})
    kept = first.get("judging")
    if isinstance(kept, dict):
        return [str(name) for name in kept]
    return ["judge"] if {"judgement", "judge_correct"} & set(first) else []


def _first_rows(folder: Path) -> Iterator[dict[str, Json]]:
    for output in find_outputs(folder):
        for path in output.paths:
            for _, row in read_jsonl(path):
                yield row
                break


def _block(name: str, folder: Path, judge: str, labels: Path | None) -> str:
    lines = report(folder, judge=judge, model=judged_model(folder), labels=labels)
    title = f" {name}: how far {'the judge' if judge == 'judge' else f'the judge `{judge}`'} can be trusted "
    return "\n".join([title.center(80, "-"), *lines]) + "\n\n\n"


def judged_model(folder: Path) -> str:
    """The name of the model whose answers are judged there, as its run recorded it; empty where nothing tells."""
    sources = [folder]
    with contextlib.suppress(OSError, ValueError, KeyError):
        sources.insert(0, Path(loads((folder / "judging.json").read_bytes())["source"]))
    asked = (entry for source in sources for entry in _commands(source.parent.parent) if entry.benchmarks)
    return next((str(entry.config.get("model") or entry.model) for entry in asked), "")


def _commands(run: Path) -> list[manifest.Entry]:
    """Those of a run folder, the last one first; none where nobody recorded them."""
    try:
        return manifest.read(run).commands[::-1]
    except (DataError, msgspec.DecodeError):
        return []
