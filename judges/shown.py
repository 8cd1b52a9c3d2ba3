"""Shows a judge text that nobody vouches for: it can neither close its delimiters nor speak the verdict.

Two guarantees, held by tests over arbitrary texts:
    a fence is a number that no shown text contains, so no text can end the part it stands in;
    a reply that only quotes the shown text has no verdict, because what the parsers look for was taken out of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from judges.replies import JUDGEMENT, PREFERENCE, RATING, named_value

_NOTE = " [in the answer]"


def fence(*texts: str) -> str:
    """Ten hex digits that stand in none of the texts; the same texts get the same fence, so that calls can be shared."""
    number = 0
    while True:
        digest = hashlib.sha256("\0".join((str(number), *texts)).encode("utf-8", "surrogatepass")).hexdigest()[:10]
        if not any(digest in text for text in texts):
            return digest
        number += 1


def defused(text: str, criteria: Sequence[str] = ()) -> tuple[str, int]:
    """The text with every verdict in it marked as not the judge's, and how many there were.

    "Judgement: Yes" becomes "Judgement [in the answer]: Yes", "[[9]]" becomes "[ [9] ]"; the same for the names of a
    rubric's criteria before a colon. Nothing else changes.
    """
    count = 0
    patterns = [JUDGEMENT, *([named_value(criteria)] if criteria else [])]
    for pattern in patterns:
        text, changes = pattern.subn(_marked, text)
        count += changes
    for pattern in (RATING, PREFERENCE):
        text, changes = pattern.subn(r"[ [\1] ]", text)
        count += changes
    return text, count


def capped(text: str, characters: int) -> str:
    """At most that many characters, the middle left out: what is asked and what is answered stand at the ends."""
    if len(text) <= characters:
        return text
    head = characters // 3
    return f"{text[:head]}\n[... {len(text) - characters} characters left out ...]\n{text[len(text) - characters + head :]}"


def _marked(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}{_NOTE}{match[0][-1]}"
