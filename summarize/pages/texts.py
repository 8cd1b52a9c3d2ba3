"""Model text -> what may be shown: plain text, and the mathematics in it to be typeset. Nothing of it is ever markup.

segments("so $x^2$ <b>")        -> text "so ", mathematics "x^2", text " <b>"
as_html, as_markdown            the same for a page, with everything else escaped
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Display before inline; a dollar pair with blanks inside its ends is money, not mathematics.
_MATH = re.compile(
    r"\$\$(?P<dollars>[^$]{1,4000}?)\$\$"
    r"|\\\[(?P<brackets>.{1,4000}?)\\\]"
    r"|\\\((?P<parens>[^\n]{1,2000}?)\\\)"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]{0,1000}?[^\s$\\])?)\$(?![\w$])"
    r"|(?P<boxed>\\boxed\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\}){1,500}\})",
    re.DOTALL,
)
_ENVIRONMENT = re.compile(r"\\begin\{(align|equation|gather|eqnarray)(\*?)\}(.*?)\\end\{\1\2\}", re.DOTALL)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_WORD_JOINER = "⁠"
MOST_SHOWN = 20_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text. `mathematics` is LaTeX without its delimiters; `display` stands on a line of its own."""

    text: str
    mathematics: bool = False
    display: bool = False


def segments(text: str) -> Iterator[Segment]:
    """The text cut at its mathematics; put together again nothing but delimiters is missing."""
    end = 0
    for found in _MATH.finditer(text):
        if found.start() > end:
            yield Segment(text[end : found.start()])
        kind = str(found.lastgroup)
        yield Segment(_aligned(found[kind]), True, kind in ("dollars", "brackets"))
        end = found.end()
    if end < len(text):
        yield Segment(text[end:])


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """The text, its middle left out where it is very long: what decides stands at its ends."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n\n[… {len(text) - 2 * half:,} characters left out …]\n\n{text[-half:]}"


def as_html(text: str) -> str:
    """Escaped text; mathematics in `<span class=math>` elements, whose text is the LaTeX that a script typesets."""
    parts: list[str] = []
    after_display = False
    for item in segments(text):
        kind = "math display" if item.display else "math"
        if item.display and parts:
            parts[-1] = parts[-1].rstrip("\n")  # what stands on a line of its own brings its space with it
        plain = html.escape(item.text.lstrip("\n") if after_display and not item.mathematics else item.text)
        parts.append(f'<span class="{kind}">{plain}</span>' if item.mathematics else plain)
        after_display = item.display
    return "".join(parts)


def as_markdown(text: str) -> str:
    """Markdown that shows exactly this text, with mathematics between dollars; no link, picture or emoji can come of it."""
    parts = []
    for item in segments(text):
        if not item.mathematics:
            parts.append(_literal(item.text))
        elif "$" in item.text:
            parts.append(_literal(f"${item.text}$"))
        elif item.display:
            parts.append(f"\n\n$$\n{' '.join(item.text.split())}\n$$\n\n")
        else:
            parts.append(f"${' '.join(item.text.split())}$")
    return "".join(parts)


def _literal(text: str) -> str:
    """Every punctuation mark escaped. A word joiner, which is not seen, keeps `:smile:`, `www.` and addresses from being
    found in the text after the escapes are gone."""
    escaped = _PUNCTUATION.sub(r"\\\1", text)
    for mark in (r"\:", r"\@", "www"):
        escaped = escaped.replace(mark, mark + _WORD_JOINER)
    lines = [line.replace("\t", "    ") for line in escaped.split("\n")]
    indented = [" " * (len(line) - len(line.lstrip(" "))) + line.lstrip(" ") for line in lines]
    # A blank line parts paragraphs; a single break is kept by a backslash before it.
    joined = ""
    for at, line in enumerate(indented):
        last = at == len(indented) - 1
        kept = not last and line.strip() and indented[at + 1].strip()
        joined += line + ("" if last else "\\\n" if kept else "\n")
    return joined


def _aligned(latex: str) -> str:
    """KaTeX typesets `aligned` inside mathematics, not the environments that bring their own."""
    return _ENVIRONMENT.sub(lambda found: rf"\begin{{aligned}}{found[3]}\end{{aligned}}", latex).strip()
