"""Three views of the dashboard: scores, domains, insights. Charts have one colour a run and an interval on every bar."""

from __future__ import annotations

from typing import Any

import altair as alt
import streamlit as st

from summarize.pages import contents
from summarize.pages.colours import colours
from summarize.pages.contents import Chart, Grid
from summarize.pages.insights import insights
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
        for number, chart in enumerate(
            item for item in section.charts if "by " not in item.title or item.title == "by score"
        ):
            drawn(chart, book, f"scores-{benchmark}-{number}")
        if section.ratings:
            with st.expander("Ratings"):
                table(section.ratings)
        with st.expander("Tables of ns summarize_results"):
            table(section.tables)
            for note in section.notes:
                st.write(plain(note))
        if section.reliability:
            with st.expander("Reliability of the judge"):
                for run, lines in section.reliability:
                    st.write(f"**{plain(run)}**")
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
            drawn(chart, book, f"domains-{benchmark}-{number}")
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
    found = insights(book)
    first = [item for item in found if item.kind in ("best", "tie", "top", "part", "missing", "disagreement")]
    for item in first:
        st.write(f"- {plain(item.sentence)}")
    rest = [item for item in found if item not in first]
    if rest:
        with st.expander(f"{len(rest)} more: gaps, profiles, truncation, ceilings"):
            for item in rest:
                st.write(f"- {plain(item.sentence)}")
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


def drawn(chart: Chart, book: Book, key: str) -> None:
    """A chart: bars with whiskers, or dots with whiskers on a line for each label."""
    import pandas as pd

    if not chart.bars:
        return
    rows = [
        {
            "run": bar.run,
            "label": bar.label,
            "value": bar.value,
            "low": bar.low,
            "high": bar.high,
            "shown": bar.text + bar.mark,
        }
        for bar in chart.bars
    ]
    data = pd.DataFrame(rows)
    shares = chart.ends[1].endswith("%")
    names = [run.name for run in book.runs]
    colour: Any = alt.Color(
        "run:N", scale=alt.Scale(domain=names, range=colours(len(names))), legend=_LEGEND if chart.dots else None
    )
    axis = alt.Axis(format="%" if shares else "", title=None, tickCount=6)
    scale = alt.Scale(domain=[chart.least, chart.most], nice=False, zero=False, clamp=True)
    x = alt.X("value:Q", scale=scale, axis=axis)
    labels = list(dict.fromkeys(bar.label for bar in chart.bars))
    y = alt.Y("label:N", sort=labels, title=None, axis=alt.Axis(labelLimit=230, ticks=False, domain=False))
    tips = ["run:N", alt.Tooltip("label:N", title="of"), alt.Tooltip("shown:N", title="value"), "low:Q", "high:Q"]
    base = alt.Chart(data).encode(y=y, tooltip=tips)
    lanes: dict[str, Any] = {"yOffset": alt.YOffset("run:N", sort=names)} if chart.dots else {}
    reach = base.mark_rule(strokeWidth=2, opacity=0.55 if chart.dots else 1).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", **lanes
    )
    if chart.dots:
        marks = base.mark_circle(size=70, opacity=1).encode(x=x, color=colour, **lanes)
        picture = alt.layer(reach.encode(color=colour), marks)
        height = 40 + len(labels) * max(24, 11 * len({bar.run for bar in chart.bars}))
    else:
        bars = base.mark_bar(height=18, cornerRadiusEnd=2).encode(x=x, x2=alt.datum(chart.least), color=colour)
        values = base.mark_text(align="left", dx=6).encode(x=alt.X("high:Q", scale=scale, axis=axis), text="shown:N")
        picture = alt.layer(bars, reach, values)
        height = 40 + 30 * len(labels)
    st.altair_chart(picture.properties(title=chart.title, height=height), width="stretch", key=key)


_LEGEND = alt.Legend(orient="bottom", columns=1, title=None, labelLimit=300, symbolOpacity=1)


def _ends(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
