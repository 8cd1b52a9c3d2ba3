"""The log-probabilities of references in a run: what the server told when it was asked, else by transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ns_eval import manifest, models, prompts
from ns_eval.chat_template import chat_template
from ns_eval.config import TemplateConfig
from ns_eval.errors import UsageError
from ns_eval.prompts import Prompt
from ns_eval.records import Json, Sample, Sampling
from summarize.text import reference_logprobs


def source(samples: Sequence[Sample]) -> str:
    """Who computes them, as a remark below the table."""
    return f"perplexity: log-probabilities of the references {'as the server told' if _told(samples) else 'by transformers'}"


def _told(samples: Sequence[Sample]) -> list[list[float]] | None:
    found = [list(sample.generation.meta.get("reference_logprobs") or ()) for sample in samples]
    return found if all(found) else None


def of_run(folder: Path, settings: Mapping[str, Json], samples: Sequence[Sample]) -> list[list[float]]:
    """One list a sample, in its order. `folder` is the run's, `settings` those of its benchmark.

    Raises:
        UsageError: the server told nothing, and the model is no checkpoint here, or transformers is not installed.
    """
    told = _told(samples)
    if told is not None:
        return told
    model, adapter = _weights(folder)
    prompt = _prompt(settings, model)
    texts = [prompts.request(prompt, sample.question, None, Sampling()).text or "" for sample in samples]
    references = [sample.question.expected_answer or "" for sample in samples]
    return reference_logprobs(str(model), texts, references, adapter)


def _weights(folder: Path) -> tuple[Path, str | None]:
    """The checkpoint that a run folder's command asked, and the adapter of that folder."""
    home = folder if manifest.read(folder).commands else folder.parent
    entries = manifest.read(home).commands
    asked = entries[-1].config if entries else {}
    model = Path(models.weights(str(asked.get("model"))))
    if not (model / "config.json").is_file():
        raise UsageError(
            f"perplexity of {folder} needs its model as a checkpoint, and {model} is none on this machine",
            hint="ask a server that tells: ns eval … --server_type=vllm ++reference_logprobs=true",
        )
    name = folder.name.rpartition("+")[2] if "+" in folder.name else ""
    named = dict(str(item).split(":", 1) for item in asked.get("adapter") or [] if ":" in str(item))
    if name and name not in named:
        raise UsageError(f"perplexity of {folder}: where the adapter `{name}` lies is not in run.json")
    return model, named.get(name)


def _prompt(settings: Mapping[str, Json], model: Path) -> Prompt:
    """The prompt of the run as one text, special tokens left to the tokenizer."""
    fixed = ("user", "system", "examples", "example_sets")
    named = {key.removeprefix("prompt."): value for key, value in settings.items() if key.startswith("prompt.")}
    template = settings.get("prompt_template")
    own = (settings.get("chat_template") or {}).get("values") or {}
    return Prompt(
        name="the run's prompt",
        user=named["user"],
        system=named["system"],
        examples=named["examples"],
        example_sets=named.get("example_sets") or {},
        values={key: value for key, value in named.items() if key not in fixed},
        template=msgspec.convert(template, TemplateConfig) if template else None,
        chat_template=None if template else chat_template(model, own),
    )
