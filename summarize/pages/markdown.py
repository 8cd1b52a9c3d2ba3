"""The report as Markdown, for a pull request: standings, findings and what is missing; no samples."""

from __future__ import annotations

import re

from summarize.pages.contents import Grid, Report

# What model names and benchmarks could turn into markup.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_MOST_FINDINGS = 15


def document(report: Report) -> str:
    """The whole text."""
    parts = [f"# {_plain(report.title)}", _table(report.overview), "## Findings"]
    first = [item for item in report.findings if item.kind in ("best", "tie", "top", "part", "missing", "disagreement")]
    rest = [item for item in report.findings if item not in first]
    parts.append("\n".join(f"- {_plain(item.sentence)}" for item in [*first, *rest][:_MOST_FINDINGS]) or "Nothing yet.")
    for section in report.sections:
        parts.append(f"## {_plain(section.benchmark)}")
        parts += [_plain(section.why_no_ranks), _table(section.standings), _details("All tables", _table(section.tables))]
        parts.append("\n".join(f"- {_plain(note)}" for note in section.notes))
        lines = [f"- {_plain(run)}: {_plain(line)}" for run, own in section.reliability for line in own]
        parts.append(_details("Reliability of the judge", "\n".join(lines)))
    parts.append(_details("Settings", _table(report.settings)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(lines: Grid) -> str:
    if len(lines) < 2:
        return ""
    head, *rows = [[_plain(text) for text in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def _details(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if text else ""


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))
