"""Model text becomes text and mathematics, never markup."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from summarize.pages.texts import as_html, as_markdown, segments, shortened


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so $x^2$ holds", ["x^2"]),
        ("$$a$$ and \\[b\\] and \\(c\\)", ["a", "b", "c"]),
        ("it costs $5 or $10 a day", []),
        ("the answer is \\boxed{\\frac{1}{2}}.", ["\\boxed{\\frac{1}{2}}"]),
        ("\\$3 is escaped, $3 is open", []),
        ("\\[\\begin{align*}a&=b\\end{align*}\\]", ["\\begin{aligned}a&=b\\end{aligned}"]),
    ],
)
def test_mathematics_is_found_and_money_is_not(text: str, found: list[str]) -> None:
    assert [item.text for item in segments(text) if item.mathematics] == found


@given(st.text(alphabet="<>&\"'$\\ab()[]{}\n", max_size=60))
def test_as_html_there_is_no_markup_but_our_own(text: str) -> None:
    bare = re.sub(r'<span class="math( display)?">|</span>', "", as_html(text))
    assert "<" not in bare
    assert ">" not in bare


@given(st.text(alphabet="<>!&*_#`|~-+=.:@[]()\\ 1abw\n", max_size=60))
def test_as_markdown_every_mark_of_markdown_is_escaped(text: str) -> None:
    shown = as_markdown(text)
    if "$" in shown:
        return
    for at, letter in enumerate(shown):
        if letter in "<>!&*_#`|~[]()":
            before = len(shown[:at]) - len(shown[:at].rstrip("\\"))
            assert before % 2 == 1, (shown, at)


def test_what_looks_like_a_link_a_picture_or_an_emoji_is_text() -> None:
    shown = as_markdown("![p](http://x/y.png) :smile: www.x.org a@b.org :red[x]")
    assert not re.search(r"https?:(?!⁠)", shown.replace("\\", ""))
    assert ":smile" not in shown.replace("\\", "")
    assert "www." not in shown.replace("\\", "")


def test_a_very_long_text_keeps_its_ends() -> None:
    text = "a" * 50 + "b" * 50
    shown = shortened(text, 20)
    assert shown.startswith("a" * 10)
    assert shown.endswith("b" * 10)
    assert "80 characters left out" in shown


def test_a_single_line_break_is_kept() -> None:
    assert as_markdown("one\ntwo\n\nthree") == "one\\\ntwo\n\nthree"
    assert as_html("a < b\nc") == html.escape("a < b\nc")
