"""The dashboard's Q&A Explorer: filters, a table of samples, one question with what every run answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from summarize.pages.questions import Answer, Shown, question
from summarize.pages.runs import Book
from summarize.pages.samples import MARKS, Choice, chosen, verdicts
from summarize.pages.texts import as_markdown

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_OF_A_PROBLEM = 140


def show(book: Book, found: pd.DataFrame) -> None:
    """Filters above, the samples, then the chosen question."""
    kept = chosen(found, _choice(book))
    questions = kept[["benchmark", "question_id"]].drop_duplicates()
    st.caption(f"{len(kept):,} of {len(found):,} samples, {len(questions):,} questions; worst and most disputed first")
    if not len(kept):
        st.info("nothing matches")
        return
    picked = st.dataframe(
        _listed(kept),
        hide_index=True,
        width="stretch",
        height=320,
        on_select="rerun",
        selection_mode="single-row",
        key="samples",
        column_config={"value": st.column_config.NumberColumn(format="%.2f")},
    )
    rows = picked["selection"]["rows"]
    if rows and rows[0] < len(kept):
        row = kept.iloc[rows[0]]
        _link(book, str(row["run"]), str(row["benchmark"]), str(row["question_id"]))
    benchmark, name, run = _opened(book, found, kept)
    _question(book, question(book, found, benchmark, name), benchmark, name, found, run)


def _choice(book: Book) -> Choice:
    first, second, third = st.columns([2, 2, 2])
    runs = first.multiselect("Runs", [run.name for run in book.runs], key="runs")
    marks = second.multiselect("Only", list(MARKS), format_func=lambda mark: MARKS[mark], key="marks")
    search = third.text_input("Search in ids, problems and answers", key="search")
    parts: list[tuple[str, str] | None] = [None]
    for own in (part.lines.parts() for run in book.runs for part in run.parts):
        parts += [(name, value) for name, values in own.items() for value in sorted(set(values.values()))]
    parts = list(dict.fromkeys(parts))
    columns = st.columns([2, 2, 2])
    benchmarks = columns[0].multiselect("Benchmarks", book.benchmarks, key="benchmarks") if len(book.benchmarks) > 1 else []
    part = None
    if len(parts) > 1:
        part = columns[1 if benchmarks or len(book.benchmarks) > 1 else 0].selectbox(
            "Part",
            parts,
            format_func=lambda own: "all" if own is None else f"{own[0].replace('_', ' ')}: {own[1]}",
            key="part",
        )
    return Choice(tuple(runs), tuple(benchmarks), tuple(marks), part, search.strip())


def _listed(kept: pd.DataFrame) -> pd.DataFrame:
    """The columns of the table, in words."""
    import pandas as pd

    marks = [name for name in MARKS if kept[name].any()]
    words = pd.Series("", index=kept.index)
    for name in marks:
        words = words.where(
            ~kept[name].to_numpy(dtype=bool), words + ", " + ("✂ " if name == "truncated" else "") + MARKS[name]
        )
    table: dict[str, Any] = {
        "question": kept["question_id"].astype(str),
        "run": kept["run"],
        "seed": kept["seed"],
        "value": kept["value"],
        "marks": words.str.removeprefix(", "),
        "problem": kept["problem"].str.slice(0, _SHOWN_OF_A_PROBLEM).str.replace(r"\s+", " ", regex=True),
        "answer": kept["answer"],
        "expected": kept["expected"],
    }
    table |= {name: kept[name] for name in verdicts(kept) if kept[name].notna().any()}
    table |= {
        name.removeprefix("score_"): kept[name]
        for name in map(str, kept.columns)
        if name.startswith("score_") and name != "score_overall_score"
    }
    table["tokens"] = kept["completion_tokens"]
    shown = pd.DataFrame(table)
    return shown.loc[:, [name for name in shown if shown[name].notna().any() and not (shown[name] == "").all()]]


def _link(book: Book, run: str, benchmark: str, name: str) -> None:
    """Puts the question into the address, so that it can be sent to somebody."""
    st.query_params["run"] = run
    st.query_params["question"] = name
    if len(book.benchmarks) > 1:
        st.query_params["benchmark"] = benchmark


def _opened(book: Book, found: pd.DataFrame, kept: pd.DataFrame) -> tuple[str, str, str]:
    """The question of the address, where there is one of that name; else the first of the table."""
    asked = st.query_params.get("question")
    own = found[found["question_id"].astype(str) == asked] if asked is not None else kept.head(0)
    if st.query_params.get("benchmark"):
        own = own[own["benchmark"] == st.query_params["benchmark"]]
    if asked is not None and not len(own):
        st.warning(as_markdown(f"no question {asked} in these runs"))
    row = own.iloc[0] if len(own) else kept.iloc[0]
    return str(row["benchmark"]), str(row["question_id"]), st.query_params.get("run", "")


def _question(book: Book, shown: Shown, benchmark: str, name: str, found: pd.DataFrame, run: str) -> None:
    st.subheader(as_markdown(f"Question {name}"), anchor=False)
    if shown.marks:
        st.caption(", ".join(MARKS[mark] for mark in shown.marks))
    columns = st.columns(2)
    raw = columns[0].toggle("as plain text", key="raw", help="exactly as it was written, nothing typeset")
    every = columns[1].toggle("all samples", key="every") if len(found["seed"].unique()) > 1 else False
    if every:
        shown = question(book, found, benchmark, name, every=True)
    with st.container(border=True):
        _text(shown.problem, raw=raw)
        if shown.expected:
            st.write("**expected**")
            _text(shown.expected, raw=raw)
    answers = sorted(shown.answers, key=lambda answer: answer.run != run)
    if not answers:
        st.info("the texts of these samples are not on disk: only the small table is")
    width = min(2, len(answers)) or 1
    for start in range(0, len(answers), width):
        for column, answer in zip(st.columns(width), answers[start : start + width], strict=False):
            with column:
                _answer(answer, raw=raw)


def _answer(answer: Answer, *, raw: bool) -> None:
    with st.container(border=True):
        seed = "" if answer.seed is None else f", seed {answer.seed}"
        st.write(f"**{as_markdown(answer.run)}**{seed}")
        st.write(" · ".join(f"{as_markdown(name)}: **{as_markdown(value)}**" for name, value in answer.facts))
        for name, text in answer.texts:
            with st.expander(name, expanded=name == "answer"):
                _text(text, raw=raw)


def _text(text: str, *, raw: bool) -> None:
    if raw:
        st.code(text, language=None, wrap_lines=True)
    else:
        st.markdown(as_markdown(text))
