"""Finds the answer in what a model wrote: the last box, a pattern, a phrase; never inside an unfinished thought."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

# Longer answers than this are no answer to a mathematical question, and every later step is bounded by it.
LONGEST_BARE = 400

_PHRASE = re.compile(
    r"(?:####|(?:final\s+)?answer\s*(?:\*\*|</?b>)?\s*(?:is\s*:?|:|=)|答案(?:是|为|:|:))\s*(?:\*\*)?[ \t]*", re.IGNORECASE
)
_HOPE = re.compile(r"(?<=[^\d\s])\.\s+[A-Z].*|\.\s*I hope it is correct.*", re.DOTALL)
_LETTER = re.compile(r"(?<![A-Za-z\\])\(?([A-J])(?:[).:]|(?![A-Za-z'’]))")
_CONNECTOR = re.compile(
    r"[\s$,;.&]*(?:\\[()\[\],;! ]|\\q?quad\b|[\s$,;])*(?:\\text\w*\s*\{\s*)?(?:and|or|&)?(?:\s*\})?"
    r"(?:\\[()\[\],;! ]|\\q?quad\b|[\s$,;])*(?:[A-Za-z](?:_\{?\w+\}?)?\s*=\s*)?",
)
# What a JSON reader makes of an unescaped backslash: \frac -> form feed + "rac".
_MANGLED = {
    "\f": ("f", "rac"),
    "\b": ("b", "oxed|inom|eta|egin"),
    "\t": ("t", "ext|imes|heta|an\\b|frac"),
    "\r": ("r", "ight|ho"),
}


@dataclass(frozen=True, slots=True)
class Extraction:
    """Where an answer may stand; see `SymbolicOptions`, which explains each."""

    end_reasoning_string: str = "</think>"
    unfinished_reasoning: str = "none"
    extract_from_boxed: bool = True
    extract_regex: str = ""
    relaxed: bool = True
    boxes: str = "joined"


def extract(text: str, rules: Extraction, *, letter: bool = False) -> str | None:
    """The answer as written, or None. `letter` looks for a choice letter where nothing else is found."""
    text = after_reasoning(text, rules)
    if rules.extract_from_boxed:
        found = boxed(text, joined=rules.boxes == "joined")
        if found is not None:
            return found
    if rules.extract_regex:
        found = _by_regex(text, rules.extract_regex)
        if found is not None:
            return found
    if not rules.relaxed or (rules.extract_regex and not rules.extract_from_boxed):
        return None
    return _by_phrase(text) or _bare(text) or (_last_letter(text) if letter else None)


def after_reasoning(text: str, rules: Extraction) -> str:
    """What stands behind the thinking; empty where a thought has no end, unless the rules say otherwise."""
    marker = rules.end_reasoning_string
    if not marker:
        return text
    if marker in text:
        return text.rpartition(marker)[2]
    opening = marker.replace("/", "", 1)
    unfinished = opening != marker and opening in text
    return "" if unfinished and rules.unfinished_reasoning == "none" else text


def boxed(text: str, *, joined: bool = True) -> str | None:
    r"""What the last `\boxed` or `\fbox` holds; several boxes that one sentence joins give a list, in order."""
    text = _unmangled(text)
    end = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if end < 0:
        return None
    found: list[str] = []
    follower = 0
    while end >= 0:
        content, stop = _box_at(text, end)
        if found and not (stop <= follower and follower - stop < 60 and _CONNECTOR.fullmatch(text, stop, follower)):
            break
        if content is not None and content not in found:
            found.insert(0, content)
        elif content is None and found:
            break
        if content is not None and not joined:
            break
        follower = end
        end = max(text.rfind("\\boxed", 0, follower), text.rfind("\\fbox", 0, follower))
    return ", ".join(found) if found else None


def _box_at(text: str, start: int) -> tuple[str | None, int]:
    """The content of the box that begins at `start`, and where it ends; an unclosed one ends with its line."""
    position = start + (6 if text.startswith("\\boxed", start) else 5)
    while position < len(text) and text[position] in " \n":
        position += 1
    if position >= len(text):
        return None, position
    if text[position] != "{":
        match = re.compile(r"[^\s$.,;]+(?:\.\d+)?").match(text, position)
        return (match[0].removesuffix("\\)"), match.end()) if match else (None, position)
    depth = 0
    for match in _BRACES.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return _single_backslashes(text[position + 1 : match.start()].strip()) or None, match.end()
    line = text[position + 1 :].split("\n", 1)[0].strip().rstrip("$").strip()
    return _single_backslashes(line) or None, len(text)


_BRACES = re.compile(r"\\\\|\\[{}]|[{}]")


def _single_backslashes(answer: str) -> str:
    r"""An answer out of JSON source has `\\frac` for `\frac`: undone where no backslash stands alone."""
    if "\\\\" in answer and not re.search(r"(?<!\\)(?:\\\\)*\\(?!\\)", answer) and re.search(r"\\\\[A-Za-z]", answer):
        return answer.replace("\\\\", "\\")
    return answer


def _unmangled(text: str) -> str:
    for character, (letter, rest) in _MANGLED.items():
        if character in text:
            text = re.sub(f"{character}(?={rest})", rf"\\{letter}", text)
    return text


@functools.lru_cache(maxsize=32)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _by_regex(text: str, pattern: str) -> str | None:
    found = None
    for match in _compiled(pattern).finditer(text):
        found = match[1] if match.re.groups else match[0]
    return found.strip() if found and found.strip() else None


def _by_phrase(text: str) -> str | None:
    r"""What follows the last "the answer is", "Answer:" or "####", to the end of the line or sentence."""
    last = None
    for match in _PHRASE.finditer(text):
        last = match
    if last is None:
        return None
    tail = text[last.end() :].lstrip().split("\n", 1)[0]
    tail = _HOPE.sub("", tail).strip().lstrip("}").strip("*").rstrip(".").strip()
    return tail if tail and len(tail) <= LONGEST_BARE else None


def _bare(text: str) -> str | None:
    """A whole text that is nothing but an answer: one short line."""
    text = text.strip()
    if not text or "\\boxed" in text or ("\n" in text and not text.startswith(("$", "\\[", "\\(", "\\begin"))):
        return None
    return text if len(text) <= LONGEST_BARE or " " not in text else None


def _last_letter(text: str) -> str | None:
    letters = _LETTER.findall(text)
    return letters[-1] if letters else None
