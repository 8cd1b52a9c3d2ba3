"""From an answer as written to what it says: its normal form, its tree, its unit. Read once, kept."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from judges.maths import units
from judges.maths.notation import TEXT_CLOSE, TEXT_OPEN, is_wordy, normalise, words
from judges.maths.reading import Node, read
from judges.maths.tokens import Unreadable
from judges.maths.vocabulary import NUMBER_WORDS

# Longer answers are compared as strings only.
LONGEST = 10_000
_MONEY = re.compile(r"^\s*(-?)\s*(?:\\?\$|\\text\{\s*\\?\$\s*\}|USD|US\$|Rs\.?|€|£)\s*(?=-?[\d.])|(?<=\d)\s*\\?[$€£]\s*\.?$")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_SPACED_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)")
_ABOUT = re.compile(r"^(?:approximately|approx\.?|about|roughly|exactly|equals|only)\s+(?=[\d$\\-])", re.IGNORECASE)
_BASE_WORD = re.compile(r"^([0-9A-Fa-f]+)\s*\(?\s*(?:\x02)?\(?(?:in )?base[- ]?(\d+)\)?(?:\x03)?\s*\)?$", re.IGNORECASE)
_LETTERED_BASE = re.compile(r"^(\d*[A-F][0-9A-F]*)_\{?(1[1-6])\}?$")
_BRACKETED_BASE = re.compile(r"\(?([0-9A-F]+)\)?_\{?\s*\(?(\d+)\)?\s*\}?")
_REPEATED = re.compile(r"(-?\d*\.\d*?)(?:(\d)\2{2,}|(\d{2,6})\3+)\s*(?:\.\.\.|\\[lc]?dots)")
_ORDINAL = re.compile(r"(\d+)\s*(?:\^\s*\{?\s*)?\x02?(?:st|nd|rd|th)\x03?\s*\}?")
_CUT_OFF = re.compile(r"(-?\d+\.\d+)\s*(?:\.\.\.|\\[lc]?dots)")
_WORD_LABEL = re.compile(r"[A-Za-z][A-Za-z]{2}[A-Za-z ]{0,40}\s*[=:]\s*(?=[-\d\\([])")
_TEXT_LABEL = re.compile(r"\x02[^\x03]*(?:\b(?:is|are|equals)|[=:])\s*\x03\s*(?=[-\d\\([])")
_LARGE = re.compile(r"(?<=\d)\s*(\x02?)\s*(thousand|million|billion|trillion)s?\b\s*(\x03?)", re.IGNORECASE)
_LARGE_POWERS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_BRACKETED_PERIOD = re.compile(r"(-?\d*\.\d*)\((\d{1,20})\)")
_IN_WORDS = re.compile(r"(?<=\d)()\s*\([a-z][a-z ,-]+\)$")
_DOTTED = re.compile(r"(\.\d*)\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?")
_LETTER = re.compile(r"^[\s({\[\x02]*([A-Ja-j])[\s)}\]\x03]*(?:[).:][\s)}\]\x03]*.*)?$", re.DOTALL)
_LETTER_WORD = re.compile(
    r"^(?:\x02\s*)?(?:option|choice|answer)\s*(?:is\s*)?:?\s*\(?([A-Ja-j])\)?\b[\s).\x03]*$", re.IGNORECASE
)
_NO_SOLUTION = {"no solution", "no solutions", "no real solution", "no real solutions", "empty set", "the empty set", "none"}
_NO_SOLUTION |= {"\\emptyset", "\\varnothing", "\\{\\}"}
_REAL_NUMBERS = {"all real numbers", "all reals", "real numbers", "the real numbers", "the set of all real numbers"}
_NO_VALUE = {"dne", "does not exist", "undefined", "not defined", "the limit does not exist"}


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What an answer says. `node` None: no mathematics that we can read, for the reason in `problem`."""

    written: str
    normal: str
    node: Node | None
    unit: str = ""
    percent: bool = False
    letter: str = ""
    words: str = ""
    problem: str = ""

    @property
    def is_text(self) -> bool:
        """Words, not mathematics."""
        return bool(self.words)


@functools.lru_cache(maxsize=8192)
def understand(written: str, decimal_comma: bool = False, mixed_numbers: str = "sum") -> Reading:
    """The reading of a bare answer."""
    if len(written) > LONGEST:
        return Reading(written, "".join(written.split()), None, problem="too long")
    normal = normalise(_MONEY.sub(r"\1", written.strip()))
    normal = _ABOUT.sub("", normal)
    money = "dollar" if "$" in written and _MONEY.search(written.strip()) and written.count("$") % 2 else ""
    letter = _letter(normal)
    text = _fixed(normal)
    if text is not None:
        return Reading(written, normal, None, words=text, letter=letter, problem="words")
    core, percent = units.without_percent(_without_words_around(normal))
    core, unit = (core, "") if percent or _BASE_WORD.match(core) else units.without_unit(core)
    core = _one_number(core, decimal_comma)
    node, problem = _tree(core, mixed_numbers == "sum")
    if node is None and _looks_like_words(normal):
        return Reading(written, normal, None, letter=letter, words=words(normal), problem=problem)
    return Reading(written, normal, node, unit or money, percent, letter, problem=problem)


def _without_words_around(normal: str) -> str:
    """`Area = 5`, `8 (eight)` and `1.5 million` without their words."""
    label = _WORD_LABEL.match(normal) or _TEXT_LABEL.match(normal)
    normal = _LARGE.sub(_power_of_ten, normal)
    return _IN_WORDS.sub(r"\1", normal[label.end() :] if label else normal)


def _power_of_ten(match: re.Match[str]) -> str:
    still_open = match[1] if match[1] and not match[3] else ""  # "thousand dollars" in one text: the rest is a unit
    return f"\\cdot 10^{{{_LARGE_POWERS[match[2].lower()]}}} {still_open}"


def _letter(normal: str) -> str:
    match = _LETTER.match(normal) or _LETTER_WORD.match(normal)
    return match[1] if match else ""


def _fixed(normal: str) -> str | None:
    """Words that have one meaning in several wordings, and whole marked texts."""
    plain = words(normal)
    if plain in _NO_SOLUTION or normal.replace(" ", "") in _NO_SOLUTION:
        return "no solution"
    if plain in _NO_VALUE:
        return "does not exist"
    if is_wordy(normal) and plain not in NUMBER_WORDS and plain not in _REAL_NUMBERS and not re.search(r"\d", normal):
        return plain
    return None


def _one_number(core: str, decimal_comma: bool) -> str:
    """Thousands separators out, numbers in words and repeated digits in figures; only where that is all there is."""
    if decimal_comma and (match := _DECIMAL_COMMA.fullmatch(core)):
        return f"{match[1]}.{match[2]}"
    if _THOUSANDS.fullmatch(core) or _SPACED_THOUSANDS.fullmatch(core):
        return re.sub(r"[, ]", "", core)
    plain = words(core)
    if plain in NUMBER_WORDS:
        return str(NUMBER_WORDS.index(plain))
    if match := _BRACKETED_PERIOD.fullmatch(core):
        return f"{match[1]}\\overline{{{match[2]}}}"
    if plain in _REAL_NUMBERS:
        return "\\mathbb{R}"
    if match := _BASE_WORD.match(core) or _LETTERED_BASE.match(core) or _BRACKETED_BASE.fullmatch(core):
        return f"{match[1]}_{{{match[2]}}}"
    if core.endswith(("...", "dots")) and len(core) < 100 and (match := _REPEATED.fullmatch(core)):
        return f"{match[1]}\\overline{{{match[2] or match[3]}}}"
    if match := _ORDINAL.fullmatch(core) or _CUT_OFF.fullmatch(core):
        return match[1]
    if "\\dot" in core and "\\dots" not in core:
        core = _DOTTED.sub(lambda m: f"{m[1]}\\overline{{{m[2]}{m[3] or ''}{m[4] or ''}}}", core)
    if "," in core and not re.search(r"[(\[{;]|, ", core):
        # Inside a formula (12,000\pi, 2 + 1,500) but never in what may be a list.
        grouped = _GROUPED.sub(lambda match: match[0].replace(",", ""), core)
        return core if "," in grouped or grouped.replace(".", "").isdigit() else grouped
    return core


def _tree(core: str, mixed: bool) -> tuple[Node | None, str]:
    match = _LETTERED_BASE.match(core)
    if match:
        return ("base", match[1], match[2]), ""
    try:
        return read(core, mixed=mixed), ""
    except Unreadable as error:
        return None, str(error)


def _looks_like_words(normal: str) -> bool:
    r"""Whether what could not be read is prose: words outside commands, and more letters than figures."""
    bare = re.sub(r"\\[A-Za-z]+", " ", normal).replace(TEXT_OPEN, " ").replace(TEXT_CLOSE, " ")
    long_words = re.findall(r"[^\W\d_]{3,}", bare)
    return bool(long_words) or (not re.search(r"[\d\\=+^]", normal) and bool(re.search(r"[^\W\d_]", bare)))
