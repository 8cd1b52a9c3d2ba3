"""The vocabulary of a byte-level BPE tokenizer in GGUF's terms: token texts, their kinds, and its splitting rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ns_eval.checkpoints.tensor_files import json_object
from ns_eval.errors import UsageError
from ns_eval.records import Json

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # gguf.TokenType
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# How text is cut before the merges -> llama.cpp's name of that rule. By the expression itself, not by the family: a
# fine-tune may bring another tokenizer, and a wrong rule gives other tokens without any error.
_RULES = {_WORDS + r"\p{N}" + _REST: "qwen2", _WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe"}
OTHER_CONVERTER = "use llama.cpp's own converter: python convert_hf_to_gguf.py MODEL --outfile MODEL.gguf"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokens` and `kinds` have one entry for each row of the embedding; `rule` is llama.cpp's name of the pre-tokenizer."""

    tokens: list[str]
    kinds: list[int]
    rule: str


def vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The vocabulary of a checkpoint folder, filled up to the `rows` of its embedding.

    Raises:
        UsageError: a tokenizer that is no byte-level BPE with a rule known here, or has more tokens than rows.
    """
    if not (folder / "tokenizer.json").is_file():
        raise UsageError(f"{folder} has no tokenizer.json, which the GGUF vocabulary is made of", hint=OTHER_CONVERTER)
    tokenizer = json_object(folder / "tokenizer.json")
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise UsageError(f"{folder / 'tokenizer.json'}: only byte-level BPE is written here", hint=OTHER_CONVERTER)
    added = {int(token["id"]): token for token in tokenizer.get("added_tokens") or []}
    texts = {int(number): text for text, number in model["vocab"].items()}
    texts |= {number: token["content"] for number, token in added.items()}
    if max(texts) >= rows:
        raise UsageError(
            f"{folder}: token {max(texts)} `{texts[max(texts)]}` has no row in an embedding of {rows}", hint=OTHER_CONVERTER
        )
    kinds = [_kind(number, texts, added) for number in range(rows)]
    return Vocabulary([texts.get(number, f"[PAD{number}]") for number in range(rows)], kinds, _rule(tokenizer, folder))


def _kind(number: int, texts: Mapping[int, str], added: Mapping[int, Mapping[str, Json]]) -> int:
    if number in added:
        return CONTROL if added[number].get("special") else USER_DEFINED
    return NORMAL if number in texts else UNUSED


def _rule(tokenizer: Mapping[str, Json], folder: Path) -> str:
    cutter = tokenizer.get("pre_tokenizer") or {}
    parts = cutter.get("pretokenizers") or [cutter]
    expressions = [(part.get("pattern") or {}).get("Regex") for part in parts if part.get("type") == "Split"]
    if len(expressions) == 1 and expressions[0] in _RULES:
        return _RULES[expressions[0]]
    raise UsageError(f"{folder / 'tokenizer.json'} cuts text by a rule that is not known here", hint=OTHER_CONVERTER)
