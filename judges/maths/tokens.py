"""Cuts a normal form into tokens; words become functions, constants, separators or products of letters."""

from __future__ import annotations

import re
from typing import NamedTuple

from judges.maths.vocabulary import CONSTANTS, FUNCTIONS, GREEK, SHORT_WORDS


class Unreadable(Exception):
    """The text is no mathematics that this reader knows, or is too large to be looked at."""


class Token(NamedTuple):
    """`kind` is num, word, text, end or, for commands and signs, the sign itself; `spaced`: a blank stood before it."""

    kind: str
    text: str
    spaced: bool


MOST_TOKENS = 3000
_TOKEN = re.compile(
    r"(?P<space>\s*)(?:"
    r"(?P<num>\d+(?:\.\d+|\.(?![.\d]))?(?:[eE][+-]?\d{1,6}(?![\d.]))?|\.\d+)"
    r"|\\(?P<edge>begin|end)\s*\{(?P<env>[A-Za-z*]+)\}"
    r"|(?P<cmd>\\[A-Za-z]+|\\.)|\x02(?P<text>[^\x03]*)\x03|(?P<word>[A-Za-z]+)"
    r"|(?P<op>\*\*|<=|>=|!=|==|=<|=>|->|\.\.\.|\S))",
)

# The only words of four and more letters that are products: alphabets that formulas use.
_LONG_PRODUCT = re.compile(r"[abcdkmnpqrstuvwxyz]{4,6}|[A-Z]{4}")
_VOWELS = set("aeiou")


def tokens(text: str) -> list[Token]:
    """The tokens of a normal form, closed by one of kind `end`.

    Raises:
        Unreadable: a word that is no mathematics, or too many tokens.
    """
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        spaced = match["space"] != ""
        kind = match.lastgroup
        value = match[kind] if kind else ""
        if value == "U" and found and found[-1].kind in (")", "]"):
            found.append(Token("\\cup", value, spaced))
        elif kind == "word":
            found += _word(value, spaced)
        elif kind == "env":
            found.append(Token(f"\\{match['edge']}", value, spaced))
        elif kind in ("num", "text"):
            found.append(Token(kind, value, spaced))
        else:
            found.append(Token(value, value, spaced))
        if len(found) > MOST_TOKENS:
            raise Unreadable("too long")
    found.append(Token("end", "", False))
    return found


def _word(word: str, spaced: bool) -> list[Token]:
    if len(word) == 1:
        return [Token("word", word, spaced)]
    if word in ("and", "or"):
        return [Token(",", word, spaced)]
    if word in ("union", "cup"):
        return [Token("\\cup", word, spaced)]
    if word in FUNCTIONS or word in CONSTANTS or word in GREEK:
        return [Token(f"\\{word}", word, spaced)]
    for length in (7, 6, 5, 4, 3, 2):
        head, rest = word[:length], word[length:]
        if rest and len(rest) <= 3 and (head in FUNCTIONS or head == "pi") and rest.lower() not in SHORT_WORDS:
            return [Token(f"\\{head}", head, spaced), *_word(rest, False)]
        tail = word[-length:]
        if len(word) > length and len(word) - length <= 2 and tail in ("sqrt", "sin", "cos", "tan", "log", "ln", "pi"):
            return [*_word(word[:-length], spaced), Token(f"\\{tail}", tail, False)]
    if _is_product(word):
        return [Token("word", letter, spaced and index == 0) for index, letter in enumerate(word)]
    raise Unreadable(f"the word `{word[:40]}`")


def _is_product(word: str) -> bool:
    if len(word) <= 3:
        return word.lower() not in SHORT_WORDS
    return bool(_LONG_PRODUCT.fullmatch(word)) and not _VOWELS.intersection(word[1:])
