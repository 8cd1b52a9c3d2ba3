"""The report as one HTML file: no network, no server; scripts other than its own cannot run, whatever a model wrote."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from summarize.pages.colours import colours
from summarize.pages.contents import Grid, Report, Section
from summarize.pages.figures import figure
from summarize.pages.insights import Finding, parted
from summarize.pages.questions import Answer, Shown
from summarize.pages.runs import Book
from summarize.pages.samples import MARKS
from summarize.pages.texts import as_html

_HERE = Path(__file__).parent
_NUMBER = re.compile(r"[-+]?[\d.,]+(%|\*| \*)?( to [-+]?[\d.]+%?)?( \(.*\))?|n/a|")
_MARK_KINDS = {"disagreement": "warn", "truncated": "warn", "failed": "bad", "no_answer": "bad", "wrong": "bad"}


def document(book: Book, report: Report, samples: Sequence[Shown], left_out: int) -> str:
    """The whole file."""
    body = _body(book, report, samples, left_out)
    math = 'class="math' in body
    scripts = [(_HERE / "katex" / "katex.min.js").read_text(encoding="utf-8")] if math else []
    scripts.append((_HERE / "page.js").read_text(encoding="utf-8"))
    styles = (_HERE / "page.css").read_text(encoding="utf-8") + _run_colours(book) + (_katex_css() if math else "")
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" for own in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:; script-src {hashes}"
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{html.escape(report.title)}</title><style>{styles}</style></head>\n"
        f"<body>{body}{''.join(f'<script>{own}</script>' for own in scripts)}</body></html>\n"
    )


def _body(book: Book, report: Report, samples: Sequence[Shown], left_out: int) -> str:
    links = [("#findings", "Findings"), *((f"#{_id(part.benchmark)}", part.benchmark) for part in report.sections)]
    links += [("#samples", "Samples"), ("#settings", "Runs and settings")]
    nav = "".join(f'<li><a href="{html.escape(to)}">{html.escape(name)}</a></li>' for to, name in links)
    parts = [
        f'<header><h1>{html.escape(report.title)}</h1><nav aria-label="Sections"><ul>{nav}</ul></nav></header><main>',
        _unfinished(report),
        '<h2 id="findings">Analysis and insights</h2>',
        _findings(report.findings),
        *(_section(part, book) for part in report.sections),
        _samples(samples, left_out, book),
        '<h2 id="settings">Runs and settings</h2>',
        _table(report.overview, "what each run folder holds", book),
        *(
            f"<p>{html.escape(name)}: <code>{html.escape(command)}</code></p>"
            for name, command in report.commands
            if command
        ),
        _table(report.settings, "settings of each run, those that differ first", book, long=True),
        "</main><footer>Every number is made of scores.parquet, as <code>ns summarize_results</code> and "
        "<code>ns compare</code> print it. Intervals are for new questions of this kind; p values are adjusted after Holm."
        "</footer>",
    ]
    return "".join(parts)


def _unfinished(report: Report) -> str:
    """Said first, because every number below depends on it."""
    head, *rows = report.overview
    lines = [dict(zip(head, row, strict=True)) for row in rows]
    bad = [line for line in lines if line["state"] != "complete"]
    told = "".join(
        f"<li>{html.escape(line['run'])} is {line['state']}: "
        f"{html.escape(line['note'] or line['graded'] + ' samples are graded')}</li>"
        for line in bad
    )
    return f"<ul>{told}</ul>" if bad else ""


def _section(part: Section, book: Book) -> str:
    shown = [f'<h2 id="{_id(part.benchmark)}">{html.escape(part.benchmark)}</h2>']
    if part.why_no_ranks:
        shown.append(f"<p>{html.escape(part.why_no_ranks)}</p>")
    if part.standings:
        shown.append(
            _table(part.standings, "runs that share a letter under group cannot be told apart; ranks say so too", book)
        )
    shown += [figure(chart, book) for chart in part.charts]
    if part.ratings:
        shown += ["<h3>Ratings</h3>", _table(part.ratings, "how often each rating was given", book, long=True)]
    shown += ["<h3>Tables</h3>", _table(part.tables, "what ns summarize_results prints", book, long=True)]
    if part.notes:
        shown.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in part.notes) + "</ul>")
    if part.reliability:
        lines = "".join(f"<li>{html.escape(run)}: {html.escape(line)}</li>" for run, own in part.reliability for line in own)
        shown.append(f"<h3>Reliability of the judge</h3><ul>{lines}</ul>")
    return "".join(shown)


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>Nothing to report: there is no result yet.</p>"
    head, rest = parted(findings)
    shown = f'<ul class="findings">{"".join(map(_finding, head))}</ul>'
    if rest:
        shown += f'<details class="sample"><summary>{len(rest)} more: gaps, profiles, truncation, ceilings</summary><div>'
        shown += f'<ul class="findings">{"".join(map(_finding, rest))}</ul></div></details>'
    return shown


def _finding(item: Finding) -> str:
    return f"<li{' class=noise' if item.holds is False else ''}>{html.escape(item.sentence)}</li>"


def _table(lines: Grid, caption: str, book: Book, *, long: bool = False) -> str:
    if not lines:
        return ""
    head, *rows = lines
    numbers = [bool(rows) and all(_NUMBER.fullmatch(row[at]) for row in rows) for at in range(len(head))]
    names = {run.name: at for at, run in enumerate(book.runs)}

    def cell(text: str, at: int) -> str:
        kind = ' class="num"' if numbers[at] else ' class="wide"' if len(text) > 60 else ""
        swatch = f'<i class="swatch c{names[text]}"></i>' if text in names and head[at] == "run" else ""
        return f"<td{kind}>{swatch}{html.escape(text)}</td>"

    heads = "".join(
        f'<th scope="col" tabindex="0" class="sorts{" num" if number else ""}">{html.escape(text)}</th>'
        for text, number in zip(head, numbers, strict=True)
    )
    body = "".join(f"<tr>{''.join(cell(text, at) for at, text in enumerate(row))}</tr>" for row in rows)
    return (
        f'<div class="scroll{" long" if long else ""}" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _samples(samples: Sequence[Shown], left_out: int, book: Book) -> str:
    if not samples:
        return '<h2 id="samples">Samples</h2><p>No text of any sample is on disk.</p>'
    runs = "".join(f"<option>{html.escape(run.name)}</option>" for run in book.runs)
    held = {mark for item in samples for mark in item.marks}
    marks = "".join(f'<option value="{name}">{text}</option>' for name, text in MARKS.items() if name in held)
    more = f" {left_out} more questions are in the run folders; ns dashboard shows all." if left_out else ""
    return (
        f'<h2 id="samples">Samples</h2><p>The worst and most disputed questions first.{more}</p><div class="filters">'
        f'<label>Run<select id="filter-run"><option value="">all</option>{runs}</select></label>'
        f'<label>Only<select id="filter-mark"><option value="">everything</option>{marks}</select></label>'
        '<label>Search<input id="filter-search" type="search"></label>'
        f'<span id="shown" role="status" class="soft">{len(samples)} of {len(samples)} questions</span></div>'
        + "".join(_sample(item, book) for item in samples)
    )


def _sample(item: Shown, book: Book) -> str:
    numbers = {run.name: at for at, run in enumerate(book.runs)}
    tags = "".join(f'<span class="tag {_MARK_KINDS.get(mark, "plain")}">{MARKS[mark]}</span>' for mark in item.marks)
    first = " ".join(item.problem.split())
    head = html.escape(first[:160] + ("…" if len(first) > 160 else ""))
    runs = "\n".join(answer.run for answer in item.answers)
    expected = f'<p>Expected: <strong class="val">{as_html(item.expected)}</strong></p>' if item.expected else ""
    return (
        f'<details class="sample" id="{_id(item.benchmark, item.question)}" data-runs="{html.escape(runs)}" '
        f'data-marks="{" ".join(item.marks)}"><summary><strong>{html.escape(item.question)}</strong> {tags}'
        f"<br>{head}</summary><div>"
        f'<div class="text" tabindex="0" role="group" aria-label="problem">{as_html(item.problem)}</div>{expected}'
        + "".join(_answer(answer, numbers[answer.run]) for answer in item.answers)
        + "</div></details>"
    )


def _answer(answer: Answer, number: int) -> str:
    facts = "".join(f"<span>{html.escape(name)}: <strong>{as_html(value)}</strong></span>" for name, value in answer.facts)
    return (
        f'<div class="answer"><h3><i class="swatch c{number}"></i>{html.escape(answer.run)}'
        f'{"" if answer.seed is None else f", seed {answer.seed}"}</h3><div class="pair">{facts}</div>'
        + "".join(
            f'<p class="soft">{html.escape(name)}</p><div class="text" tabindex="0" role="group" '
            f'aria-label="{html.escape(name)}">{as_html(text)}</div>'
            for name, text in answer.texts
        )
        + "</div>"
    )


def _run_colours(book: Book) -> str:
    return "".join(f".c{at}{{background:{colour}}}" for at, colour in enumerate(colours(len(book.runs))))


def _katex_css() -> str:
    """KaTeX's style with its fonts inside."""
    fonts: Mapping[str, str] = {
        path.name: base64.b64encode(path.read_bytes()).decode() for path in (_HERE / "katex" / "fonts").glob("*.woff2")
    }
    text = (_HERE / "katex" / "katex.min.css").read_text(encoding="utf-8")
    text = re.sub(r',url\(fonts/[^)]*\.(woff|ttf)\) format\("[a-z]+"\)', "", text)
    return re.sub(r"url\(fonts/([^)]*)\)", lambda found: f"url(data:font/woff2;base64,{fonts[found[1]]})", text)


def _id(*names: str) -> str:
    """A name as an anchor: letters, digits, dots and dashes; what else stands in it as its code."""
    return "-".join(re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}", name) for name in ("b", *names))
