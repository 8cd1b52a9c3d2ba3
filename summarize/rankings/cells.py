"""A ranking as text: source 002's Markdown table to the letter, then what is known beyond it; CSV and HTML of the same."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence

from summarize.rankings.scoring import Ranked, Scored, TaskScore

_NONE = "—"
# A share of cut answers is shown beyond this one.
_SHOWN = 0.02


def task_cell(task: TaskScore | None) -> str:
    """`.67 - .69 [-.11] (123/200)`: center, center + margin; the cut share beyond 2%; points where some are missing."""
    if task is None:
        return _NONE
    cut = f" [-{two(task.truncated_ratio)}]" if task.truncated_ratio > _SHOWN else ""
    short = f" ({task.point_count}/{task.expected_points})" if task.is_incomplete else ""
    return f"{two(task.center)} - {two(task.center + task.margin)}{cut}{short}"


def two(value: float) -> str:
    """Two decimals without the leading zero: .81, 1.00."""
    return f"{value:.2f}".removeprefix("0")


def score_cell(scored: Scored) -> str:
    """A whole number; an asterisk where a task is missing or incomplete."""
    return _NONE if scored.reasonscore is None else f"{scored.reasonscore:.0f}{'*' if scored.any_incomplete else ''}"


def table(ranked: Sequence[Ranked], tasks: Sequence[str], *, tokens: bool = False, groups: bool = False) -> list[list[str]]:
    """Header and lines, one a model and tier; `tokens` adds a column a task, `groups` adds them and invalid shares."""
    names = [name for task in tasks for name in ((task, f"{task} tokens") if tokens else (task,))]
    lines = [
        ["Model", "Tier", "ReasonScore", "Avg Tokens", "Score/Token", *names, *(("Groups", "Invalid") if groups else ())]
    ]
    for item in ranked:
        for tier, scored in item.tiers.items():
            own = item.tasks[tier]
            cells = []
            for task in tasks:
                cells.append(task_cell(own.get(task)))
                if tokens:
                    cells.append(_whole(own[task].completion_tokens_mean if task in own else None))
            rest = [" ".join(item.evaluation.groups), _invalid(list(own.values()))] if groups else []
            lines.append(
                [item.evaluation.label, tier, score_cell(scored), _whole(scored.avg_tokens), _rate(scored), *cells, *rest]
            )
    return lines


def ranks(ranked: Sequence[Ranked], level: float) -> list[list[str]]:
    """Header and lines of what the source does not print: overall score and rank with their intervals, plain accuracy."""
    share = f"{100 * level:g}%"
    lines = [["Model", "eval_id", "Score", share, "Rank", share, "Score/Token", share, "Accuracy"]]
    for item in ranked:
        own = item.overall
        lines.append(
            [
                item.evaluation.label,
                str(item.evaluation.eval_id),
                score_cell(own),
                _between(own.interval, 0),
                _NONE if own.rank is None else str(own.rank),
                _between(own.rank_interval, 0),
                _rate(own),
                _between(own.score_token_interval, 2),
                _NONE if own.accuracy is None else f"{100 * own.accuracy:.2f}%",
            ]
        )
    return lines


def pipes(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(lines[0])
    rows = [[cell.replace("|", "\\|") for cell in line] for line in (lines[0], rule, *lines[1:])]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def as_csv(ranked: Sequence[Ranked]) -> str:
    """One line a model, tier and task, as numbers; empty where nothing is known."""
    fields = [name for name in TaskScore.__slots__ if name != "skill"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "eval_id",
            "eval_hash",
            "model",
            "tier",
            "reasonscore",
            "any_incomplete",
            "avg_tokens",
            "score_token",
            "task",
            *fields,
        ]
    )
    for item in ranked:
        own = item.evaluation
        for tier, scored in item.tiers.items():
            start = [own.eval_id, own.eval_hash, own.label, tier, scored.reasonscore, scored.any_incomplete]
            for name, task in item.tasks[tier].items():
                numbers = [getattr(task, field) for field in fields]
                writer.writerow([*start, scored.avg_tokens, scored.score_token, name, *numbers])
    return text.getvalue()


def as_html(title: str, parts: Sequence[tuple[str, Sequence[Sequence[str]]]], notes: Sequence[str]) -> str:
    """A page of tables that needs nothing else."""
    style = (
        "body{font:14px system-ui;margin:2em}table{border-collapse:collapse;margin-bottom:2em}"
        "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left;white-space:nowrap}th{background:#f0f0f0}"
    )
    body = []
    for name, lines in parts:
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in lines[0])
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>\n" for line in lines[1:])
        body.append(f"<h2>{html.escape(name)}</h2>\n<table><tr>{head}</tr>\n{rows}</table>")
    body += [f"<p>{html.escape(note)}</p>" for note in notes]
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{style}</style>"
    return f"<!doctype html>{head}<h1>{html.escape(title)}</h1>\n" + "\n".join(body) + "\n"


def _whole(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0f}"


def _rate(scored: Scored) -> str:
    return _NONE if scored.score_token is None else f"{scored.score_token:.2f}"


def _between(ends: tuple[float, float] | None, digits: int) -> str:
    return _NONE if ends is None else f"{ends[0]:.{digits}f} - {ends[1]:.{digits}f}"


def _invalid(tasks: Sequence[TaskScore]) -> str:
    return f"{100 * sum(task.invalid_ratio for task in tasks) / len(tasks):.2f}%" if tasks else _NONE
