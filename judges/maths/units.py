"""Units behind a number: found, split off, and compared where both sides name one that is known."""

from __future__ import annotations

import re
from fractions import Fraction

from judges.maths.notation import TEXT_CLOSE, TEXT_OPEN
from judges.maths.vocabulary import CONSTANTS, FUNCTIONS, GREEK, SHORT_WORDS

# name -> (dimension, how many of the dimension's first unit)
_KNOWN: dict[str, tuple[str, Fraction]] = {}


def _learn(dimension: str, **units: tuple[str, str]) -> None:
    for factor, names in units.values():
        for unit in names.split():
            _KNOWN[unit] = (dimension, Fraction(factor))


_learn(
    "length",
    mm=("1/1000", "mm millimeter millimetre"), cm=("1/100", "cm centimeter centimetre"), dm=("1/10", "dm decimeter"),
    m=("1", "m meter metre"), km=("1000", "km kilometer kilometre"), inch=("127/5000", "in inch inches"),
    ft=("381/1250", "ft foot feet"), yd=("1143/1250", "yd yard"), mi=("201168/125", "mi mile"),
)  # fmt: skip
_learn(
    "time", ms=("1/1000", "ms millisecond"), s=("1", "s sec second"), min=("60", "min minute"), h=("3600", "h hr hrs hour"),
    day=("86400", "day"), week=("604800", "week wk"), month=("2629746", "month"), year=("31556952", "year yr yrs"),
)  # fmt: skip
_learn("mass", mg=("1/1000000", "mg milligram"), g=("1/1000", "g gram"), kg=("1", "kg kgs kilogram kilo"))
_learn("weight", oz=("1/16", "oz ounce"), lb=("1", "lb lbs pound"), ton=("2000", "ton"))
_learn("money", cent=("1/100", "cent cents ¢"), dollar=("1", "dollar usd buck"))
_learn(
    "volume",
    ml=("1/1000", "ml mL milliliter millilitre"),
    l=("1", "l L liter litre"),
    gal=("3785411784/1000000000", "gal gallon"),
)
_learn("angle", degree=("1", "degree deg"))
_learn("speed", mph=("1", "mph"), kmh=("1000000/1609344", "kmh kph"))
_LONGEST_WITH_UNIT = 300
_PREFIXES = ("square", "sq", "cubic", "cu")
_MARKED = re.compile(
    rf"^(.*[\w)\]}}!|'])\s*(/|\bper\b)?\s*{TEXT_OPEN}([^{TEXT_CLOSE}]*){TEXT_CLOSE}\s*(?:\^\s*\{{?\s*(-?\d)\s*\}}?)?$",
    re.DOTALL,
)
_WORDS = re.compile(
    r"^(.*(?:[\d)\]}!]|\\pi))\s*(/|\bper\b|-)?\s*([A-Za-z][A-Za-z.']*(?:(?:\s*/\s*|\s+|\s*-\s*|\s*\*\s*|\^\{?)[A-Za-z0-9.'}]+)*)$",
    re.DOTALL,
)
_SPELT = re.compile(r"\^\s*\{?\s*(\\circ|\\degree)\s*\}?\s*$|\\degrees?\s*$|\\circ\s*$|(?<=\d)\s*deg\s*$")
_PERCENT = re.compile(
    r"^(.*[\d)}\]])\s*(?:\\?%|percent(?:age)?|pct|per cent|\x02\s*(?:\\?%|percent(?:age)?|pct|per cent)\s*\x03)$",
    re.IGNORECASE,
)


def without_percent(normal: str) -> tuple[str, bool]:
    """The text before a final percent sign or word, and whether there was one."""
    match = _PERCENT.match(normal)
    return (match[1].strip(), True) if match else (normal, False)


def without_unit(normal: str) -> tuple[str, str]:
    """The text before a final unit, and the unit in lower case ("" for none)."""
    degree = _SPELT.search(normal)
    if degree and degree.start() and not re.search(r"\\?(?:sin|cos|tan|cot|sec|csc)", normal):
        return normal[: degree.start()].strip(), "degree"
    unit = ""
    while (match := _MARKED.match(normal)) and not _ends_open(match[1]):
        power = f"^{match[4]}" if match[4] else ""
        unit = f"{match[2] or ''} {match[3]}{power} {unit}".strip()
        normal = match[1].strip()
        if match[2] is None and re.search(r"/\s*$", normal):
            normal = normal.rstrip().rstrip("/").rstrip()
    if unit:
        return normal, unit
    match = _WORDS.match(normal) if len(normal) < _LONGEST_WITH_UNIT else None
    if match and _are_unit_words(match[3], spaced=normal[len(match[1])] == " "):
        return match[1].strip(), match[3]
    return normal, ""


def _ends_open(text: str) -> bool:
    r"""Whether what stands before is a word of its own or half a formula, so that the text is no unit."""
    return not re.search(r"\d|\\pi|\\sqrt|\\frac|[a-zA-Z]\)?$", text) or text.endswith(("=", "_", "^"))


def _are_unit_words(text: str, spaced: bool) -> bool:
    words = re.split(r"[\s/\-*^{}]+", text.strip("."))
    first = words[0].strip(".")
    if first in FUNCTIONS or first in GREEK or first in CONSTANTS or first.lower() in SHORT_WORDS:
        return first.lower() in ("day", "man", "men", "boy", "box", "cat", "dog", "usd")
    if len(words) > 6 or any(word in ("and", "or", "is", "if", "but") for word in words):
        return False
    if len(first) == 1:
        return len(words) > 1 and len(words[1]) > 2 and first in "mgshlL"
    if len(first) == 2:
        return first.lower() in _KNOWN or _singular(first.lower()) in _KNOWN
    if len(first) == 3 and first.lower() not in _KNOWN and _singular(first.lower()) not in _KNOWN:
        return spaced
    return not re.match(r"(?:sqrt|sin|cos|tan|log|pi|exp)", first)


def _singular(word: str) -> str:
    if word in _KNOWN:
        return word
    for ending, replacement in (("es", ""), ("s", ""), ("ies", "y")):
        if word.endswith(ending) and word.removesuffix(ending) + replacement in _KNOWN:
            return word.removesuffix(ending) + replacement
    return word


def _parsed(unit: str) -> tuple[str, Fraction] | None:
    """(dimension, factor) of a unit that is known; None for any other."""
    words = unit.casefold().replace(".", " ").replace("\\", " ").split()
    power = 1
    if words and words[0] in _PREFIXES:
        power = 2 if words[0].startswith("sq") else 3
        words = words[1:]
    if len(words) != 1:
        return None
    word, _, raised = words[0].partition("^")
    if raised.strip("{}").isdigit():
        power = int(raised.strip("{}"))
    known = _KNOWN.get(_singular(word))
    if known is None:
        return None
    return (known[0] if power == 1 else f"{known[0]}^{power}", known[1] ** power)


def factor(gold: str, prediction: str) -> Fraction | None:
    """What the prediction's value is multiplied by to stand in the gold's unit; None where the units cannot be the same.

    A side without a unit, or with one that is not known, takes the other's.
    """
    if not gold or not prediction:
        return Fraction(1)
    ours, theirs = _parsed(gold), _parsed(prediction)
    if ours is None or theirs is None:
        return Fraction(1)
    return theirs[1] / ours[1] if ours[0] == theirs[0] else None
