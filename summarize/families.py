"""Which family of models a name belongs to: a judge may prefer the answers of its own."""

from __future__ import annotations

import re

_FAMILIES = {
    "qwen": r"qwen|qwq",
    "llama": r"llama|vicuna",
    "gpt": r"(?<![a-z])gpt|(?<![a-z0-9])o[134](?:-mini|-pro|-preview)?(?![a-z0-9])",
    "claude": r"claude",
    "gemini": r"gemini|gemma",
    "mistral": r"mistral|mixtral|ministral|magistral",
    "deepseek": r"deepseek",
    "phi": r"(?<![a-z])phi-?\d",
    "falcon": r"falcon",
    "nemotron": r"nemotron",
    "grok": r"grok",
    "glm": r"(?<![a-z])(?:chat)?glm",
    "kimi": r"kimi|moonshot",
    "olmo": r"olmo|tulu",
}


def families(model: str) -> frozenset[str]:
    """The families that a model's name tells: Qwen in Qwen2.5-32B-Instruct, DeepSeek and Qwen in a distilled model."""
    text = model.lower()
    return frozenset(family for family, pattern in _FAMILIES.items() if re.search(pattern, text))
