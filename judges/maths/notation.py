"""One normal form for the many ways to write the same mathematics: Unicode, LaTeX, Markdown and plain text."""

from __future__ import annotations

import re
import unicodedata

# Text that stood in \text{…}: kept apart from products of variables by these two marks.
TEXT_OPEN, TEXT_CLOSE = "\x02", "\x03"

_GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega
"""
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ", "0123456789+-()nix", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙᵢₓ", "0123456789+-nix", strict=True))
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5"}
_VULGAR |= {"⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "÷": "/", "⁄": "/", "∕": "/", "·": r"\cdot ", "⋅": r"\cdot ",
    "×": r"\times ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "√": r"\sqrt ", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "≅": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∖": r"\setminus ", "∅": r"\emptyset ", "°": r"^\circ ", "º": r"^\circ ", "∘": r"\circ ", "′": "'", "’": "'",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "⟨": r"\langle ", "⟩": r"\rangle ",
    "∠": r"\angle ", "△": r"\triangle ", "∣": "|", "∥": "|", "“": '"', "”": '"', "‘": "'", "、": ",", "∧": r"\wedge ",
    "∨": r"\vee ", "→": r"\to ", "⇒": r"\Rightarrow ", "…": r"\dots ", "⋯": r"\dots ",
    "∑": r"\sum ", "∫": r"\int ", "∏": r"\prod ", "∀": r"\forall ",
    "ϕ": r"\phi ", "ϵ": r"\epsilon ", "ϑ": r"\theta ", "ı": "i", "€": "$", "£": "$", "¥": "$", "₹": "$",
}  # fmt: skip


def _character_table() -> dict[int, str]:
    table = {ord(symbol): text for symbol, text in _SYMBOLS.items()}
    table |= {ord(symbol): "\\frac{{{}}}{{{}}}".format(*text.split("/")) for symbol, text in _VULGAR.items()}
    for index, name in enumerate(_GREEK.split()):
        # The Greek block has a final sigma at 0x3C2, between rho and sigma.
        offset = index + (1 if index > 16 else 0)
        table[0x3B1 + offset] = f"\\{name} "
        table[0x391 + offset] = f"\\{name.capitalize()} "
    # Invisible: zero-width, direction and joining marks, soft hyphen, byte order mark.
    table |= dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0xFEFF], "")
    return table


_TABLE = _character_table()
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

_TEXT_COMMAND = r"\\(?:text(?:rm|bf|it|sf|tt|sc|normal|up|md)?|mbox|hbox|mathrm|textnormal|bf|rm|it|operatorname\*?)"
_TEXT = re.compile(_TEXT_COMMAND + r"\s*\{([^{}]*)\}")
_WRAPPED = re.compile(
    r"\\(?:math(?:bf|it|sf|tt|cal|scr|normal)|boldsymbol|bm|pmb|mathop|ensuremath|mathstrut|underline|emph|tag\*?|cancel)\s*\{([^{}]*)\}"
)
_NAKED = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|rm|bf|it|limits|nolimits|mathstrut|strut|hfill|noindent|centering)(?![A-Za-z])"
)
_SIZED = re.compile(r"\\(?:left|right|middle|big|Big|bigg|Bigg)[lrm]?(?![A-Za-z])\s*\.?(?=\s*[\\()\[\]{}|<>/.]|\s*$|\s)")
_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
_THIN_JOIN = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\!,|,\s*\\!\s*)(?=\s*\d{3})\s*")
_THIN_GROUPS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\\[,!;:]|\\ |~)\s*\d{3})+(?!\d)")
_SPACING = re.compile(
    r"(?<!\\)\\[,;:! ]|\\q?quad|\\(?:hspace|vspace|hskip)\*?\s*\{[^{}]*\}|~"
    r"|\\(?:thinspace|enspace|space|nobreakspace)(?![A-Za-z])"
)
_SPACE = re.compile(r"\s+")
_MARKDOWN = re.compile(r"^(\*{1,3}|_{2,3}|`{1,3}|\"|“|')(.*?)\1(\.?)$", re.DOTALL)
_SIMPLE = re.compile(r"[\w\s+\-*/^().,=<>!:\[\]|';]*", re.ASCII)
_UNIT_LETTERS = set("mgshLlVAWJNKCF")
_NUMBER_BEFORE = re.compile(r"[\d}](?:\\[,;:! ]|[\s~])*$")
_JOINING_WORD = {"and": ",", "or": ",", ",and": ",", "and,": ",", ", and": ",", ", or": ",", "&": ",", ";": ";", ",": ","}


def normalise(text: str) -> str:
    """The normal form: ASCII LaTeX without delimiters, sizes, fonts and spacing; one space at most; no final dot."""
    text = text.strip()
    if not text.isascii():
        text = _ascii(text)
    if "\\u" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
        text = text if text.isascii() else _ascii(text)
    text = _unquoted(text)
    if "\\" in text or "$" in text or "{" in text or "~" in text:
        text = _plain_latex(text)
    text = _SPACE.sub(" ", text).strip()
    while text and text[-1] in ".,;:" and not text.endswith("..."):
        text = text[:-1].rstrip()
    return text


def _ascii(text: str) -> str:
    text = _RAISED.sub(lambda match: "^{" + "".join(_SUPERSCRIPTS[c] for c in match[0]) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + "".join(_SUBSCRIPTS[c] for c in match[0]) + "}", text)
    text = text.translate(_TABLE)
    if text.isascii():
        return text
    # Compatibility forms only (full-width, mathematical alphabets): a Cyrillic look-alike stays what it is.
    return unicodedata.normalize("NFKC", text).translate(_TABLE)


def _unquoted(text: str) -> str:
    for _ in range(3):
        match = _MARKDOWN.match(text)
        if match is None or not match[2] or match[1] in match[2]:
            break
        text = match[2].strip() + match[3]
    return text


def _plain_latex(text: str) -> str:
    text = text.replace("\\$", " ").replace("$", " ").replace("\\&", "&").replace("\\#", "").replace("\\dollar", " ")
    text = text.replace("\\lbrace", "\\{").replace("\\rbrace", "\\}").replace("\\lbrack", "[").replace("\\rbrack", "]")
    text = _BOX.sub("", text)
    text = _SIZED.sub("", text)
    text = _DELIMITER.sub(" ", text)
    text = _THIN_JOIN.sub("", text)
    text = _THIN_GROUPS.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    for _ in range(4):
        before = text
        text = _WRAPPED.sub(r"{\1}", text)
        text = _TEXT.sub(_text, text)
        if text == before:
            break
    text = _NAKED.sub(" ", text)
    text = _SPACING.sub(" ", text)
    return _peeled(text.strip())


def _text(match: re.Match[str]) -> str:
    r"""What \text{…} becomes: mathematics where it holds no word, a separator for "and", else marked text."""
    content = match[1].strip().strip(TEXT_OPEN + TEXT_CLOSE)
    bare = content.strip(" .")
    if bare.lower() in _JOINING_WORD:
        return f" {_JOINING_WORD[bare.lower()]} "
    unit = bare in _UNIT_LETTERS and _NUMBER_BEFORE.search(match.string, 0, match.start())
    if "operatorname" in match[0][:14] or not (unit or re.search(r"[A-Za-z]{2}|[A-Za-z]/[A-Za-z]", bare)):
        return f" {bare}" if bare[:1].isalpha() else bare
    return f" {TEXT_OPEN}{bare}{TEXT_CLOSE} "


def _peeled(text: str) -> str:
    """Drops braces around the whole."""
    while len(text) > 1 and text[0] == "{" and text[-1] == "}" and "," not in text:
        depth = 0
        for index, character in enumerate(text):
            depth += (character == "{") - (character == "}")
            if depth == 0 and index < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def is_wordy(text: str) -> bool:
    """Whether a normal form is words, not mathematics: letters and little else, or marked text."""
    return text.startswith(TEXT_OPEN) and text.endswith(TEXT_CLOSE) and text.count(TEXT_OPEN) == 1


def words(text: str) -> str:
    """For comparing words: lower case, one space, no marks, no punctuation at the ends."""
    text = re.sub(r"[\x02\x03{}\"`*\\]", " ", text)
    return _SPACE.sub(" ", text).strip(" .,;:!()").casefold()
