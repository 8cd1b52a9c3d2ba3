"""`ns report OUT…`: what is known of one or more runs, in one file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.files import write_text
from ns_eval.schema import positional
from summarize.pages.runs import Book, load

# So much of a text is shown in a file that is mailed around.
_CHARACTERS = 6000


@dataclass
class ReportConfig:
    """Write one file about runs of any kind: tables, charts, findings, judges, settings, samples.

    It needs no network and no server; --format=md is for a pull request.

    Examples:
        ns report out --output=report.html
        ns report run-a run-b --benchmarks=aime24 --output=report.html --samples=100
        ns report out --format=md
    """

    runs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, or a folder of run folders."""
    output: str | None = None
    """The file. Default: report.html here; Markdown goes to the terminal."""
    format: str | None = None
    """html or md. Default: by the ending of --output, else html."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    samples: int = 40
    """How many questions can be browsed, the worst and most disputed first."""
    level: float = 0.95
    """The confidence level of intervals and findings."""


def main(config: ReportConfig) -> int:
    """Writes the report.

    Raises:
        UsageError: no run, an unknown format.
        DataError: not one run that can be read.
    """
    kind = _kind(config)
    book = load([Path(run) for run in config.runs], config.benchmarks, config.level)
    require_readable(book)
    from summarize.pages import contents, markdown, page, questions, samples

    found = contents.report(book)
    if kind == "md":
        text = markdown.document(found)
        if config.output is None:
            print(text, end="")
            return 0
    else:
        shown, left_out = questions.worst(book, samples.frame(book), max(0, config.samples), _CHARACTERS)
        text = page.document(book, found, shown, left_out)
    output = Path(config.output or "report.html")
    try:
        write_text(output, text)
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error.strerror}") from error
    print(output)
    return 0


def require_readable(book: Book) -> None:
    """Says which runs cannot be read; none at all, or a broken one, is an error rather than a page without it."""
    for run in book.runs:
        if run.state in ("gone", "unreadable"):
            raise DataError(run.note, hint="leave that folder out, or mend it")
        if not run.parts:
            print(f"{run.path}: {run.note}", file=sys.stderr)


def _kind(config: ReportConfig) -> str:
    if not config.runs:
        raise UsageError("which runs?", hint="ns report OUTPUT_DIR --output=report.html")
    ending = Path(config.output or "").suffix
    kind = config.format or ("md" if ending == ".md" else "html")
    if kind not in ("html", "md"):
        raise UsageError(f"--format={kind}: {suggest(kind, ('html', 'md'))}")
    return kind
