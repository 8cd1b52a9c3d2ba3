"""What a model cannot do, said before a GPU starts: encoders, pictures, the length of its context, its quantization."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns_eval import models
from ns_eval.config import BenchmarkConfig, ServerConfig
from ns_eval.errors import DataError
from ns_eval.records import Question

# No tokenizer needs more characters for a token in running text: an estimate that refuses too little.
_CHARACTERS_A_TOKEN = 5.0
# A prompt that leaves no room for this many tokens is not asked.
_LEAST_ANSWER = 16
# Where more prompts than this share do not fit, the benchmark is another one than its name says.
_TOLERATED = 0.1


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model before it is loaded; empty or None where nothing is."""

    name: str
    architecture: str = ""
    context: int | None = None
    quantization: str = ""


def facts(model: str) -> Facts:
    """Out of conf/model, else out of config.json of a local checkpoint.

    Raises:
        DataError: a config.json that is no JSON object.
    """
    entry = models.find(model)
    if entry is not None and entry.family:
        return Facts(model, entry.architecture, entry.context, entry.quantization)
    file = Path(models.weights(model)) / "config.json"
    if not file.is_file():
        return Facts(model)
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error})") from error
    return _of_checkpoint(model, config) if isinstance(config, dict) else Facts(model)


def _of_checkpoint(model: str, config: dict[str, Any]) -> Facts:
    named = str((config.get("architectures") or [""])[0])
    text = {**config, **(config.get("text_config") or {})}
    if config.get("is_encoder_decoder"):
        architecture = "encoder-decoder"
    elif "vision_config" in config:
        architecture = "vision"
    elif named.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        architecture = "decoder"
    else:
        architecture = "encoder" if named else ""
    method = str((config.get("quantization_config") or {}).get("quant_method", ""))
    return Facts(model, architecture, text.get("max_position_embeddings"), method)


def of_model(known: Facts, server: ServerConfig) -> str | None:
    """Why no benchmark can be asked of this model on this server; None where nothing is in the way."""
    entry = models.find(known.name)
    if entry is not None and entry.status != "ready":
        return f"{entry.name} is {entry.status}: {entry.reason}"
    if known.architecture == "encoder":
        return f"{known.name} is an encoder: it generates no text"
    if known.architecture == "encoder-decoder":
        return f"{known.name} has an encoder and a decoder, and no engine of conf/server runs such a model"
    if known.quantization and server.quantizations and known.quantization not in server.quantizations:
        takes = ", ".join(server.quantizations)
        return f"{known.name} is quantized by {known.quantization}, which {server.name} does not load (it loads {takes})"
    return None


def of_benchmark(known: Facts, benchmark: BenchmarkConfig) -> str | None:
    """Why this benchmark cannot be asked of this model, whatever its questions are."""
    if "images" in benchmark.needs and known.architecture == "decoder":
        return f"its questions hold pictures, and {known.name} reads text alone"
    return None


def of_context(known: Facts, server: ServerConfig, questions: Iterable[Question]) -> str | None:
    """Why the questions do not fit; a few that are too long are the model's own failures and stay."""
    context = server.context or known.context
    if context is None:
        return None
    lengths = [len(question.problem) / _CHARACTERS_A_TOKEN for question in questions]
    long = sum(length + _LEAST_ANSWER > context for length in lengths)
    if long <= _TOLERATED * len(lengths):
        return None
    return f"{long} of {len(lengths)} questions are longer than the model's context of {context} tokens"
