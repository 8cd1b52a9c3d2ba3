"""Three views of the dashboard: scores, domains, insights."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from summarize.pages import contents
from summarize.pages.charts import draw
from summarize.pages.contents import Grid, Section
from summarize.pages.insights import insights, parted
from summarize.pages.runs import Book
from summarize.pages.standings import comparison, facets, shares_scores, standings
from summarize.pages.texts import as_markdown


def plain(text: str) -> str:
    """Text of others for a place that reads Markdown."""
    return as_markdown(text)


def scores(book: Book) -> None:
    """Standings, every score, ratings, and the tables of the terminal."""
    for benchmark in book.benchmarks:
        section = contents.section(book, benchmark)
        st.subheader(plain(benchmark), anchor=False)
        if section.why_no_ranks:
            st.info(section.why_no_ranks)
        if section.standings:
            table(section.standings)
            st.caption("runs that share a letter cannot be told apart, and their ranks say so")
        own = [item for item in section.charts if "by " not in item.title or item.title == "by score"]
        for number, chart in enumerate(own):
            draw(chart, book, f"scores-{benchmark}-{number}")
        _details(section)


def _details(section: Section) -> None:
    """What is folded up below the charts of a benchmark."""
    if section.ratings:
        with st.expander("Ratings"):
            table(section.ratings)
    with st.expander("Tables of ns summarize_results"):
        table(section.tables)
        _write(section.notes)
    if section.reliability:
        with st.expander("Reliability of the judge"):
            for run, lines in section.reliability:
                st.write(f"**{plain(run)}**")
                _write(lines)


def _write(lines: Sequence[str]) -> None:
    for line in lines:
        st.write(plain(line))


def domains(book: Book) -> None:
    """Scores by each way in which the questions split."""
    some = False
    for benchmark in book.benchmarks:
        names = facets(book, benchmark)
        if not names or not shares_scores(book, benchmark):
            continue
        some = True
        st.subheader(plain(benchmark), anchor=False)
        order = standings(book, benchmark, comparison(book, benchmark))
        charts = [
            item
            for item in contents.charts(book, benchmark, order)
            if item.title.removeprefix("by ").replace(" ", "_") in names
        ]
        for number, chart in enumerate(charts):
            draw(chart, book, f"domains-{benchmark}-{number}")
            with st.expander("as a table"):
                lines = [["part", "run", "value", "low", "high"]]
                lines += [[bar.label, bar.run, bar.text, _ends(bar.low), _ends(bar.high)] for bar in chart.bars]
                table(lines)
    if not some:
        st.info("these questions have no domain, subject, level or task type to split by")


def analysis(book: Book) -> None:
    """Leaderboard and findings."""
    for benchmark in book.benchmarks:
        order = standings(book, benchmark, comparison(book, benchmark)) if shares_scores(book, benchmark) else []
        if order:
            st.subheader(plain(f"Leaderboard: {benchmark}"), anchor=False)
            table(contents.standing_rows(order))
    st.subheader("Findings", anchor=False)
    first, rest = parted(insights(book))
    st.write("\n".join(f"- {plain(item.sentence)}" for item in first))
    if rest:
        with st.expander(f"{len(rest)} more: gaps, profiles, truncation, ceilings"):
            st.write("\n".join(f"- {plain(item.sentence)}" for item in rest))
    with st.expander("Runs and settings"):
        table(contents.overview(book))
        lines = contents.settings(book)
        if lines:
            table(lines)


def table(lines: Grid) -> None:
    """Shows a grid: text as it is, a column of numbers right-aligned with its own digits, and sorted as numbers."""
    import pandas as pd

    head, *rows = lines
    found = pd.DataFrame(rows, columns=head)
    formats = {}
    for name in head:
        numbers = pd.to_numeric(found[name].str.removesuffix("%"), errors="coerce")
        if len(rows) and numbers.notna().all():
            first = str(found[name].iloc[0])
            digits = len(first.removesuffix("%").partition(".")[2])
            formats[name] = st.column_config.NumberColumn(format=f"%.{digits}f{'%%' if first.endswith('%') else ''}")
            found[name] = numbers
    st.dataframe(found, hide_index=True, width="stretch", column_config=formats)


def _ends(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
