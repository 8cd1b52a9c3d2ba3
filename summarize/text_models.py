"""The metrics that need a model of their own: sentence similarity, BERTScore, log-probabilities of references.

Weights are read from a folder or from Hugging Face's cache, never fetched here: what is missing is an error that says how to
fetch it. The only module of the summaries that imports torch, transformers, peft, sentence-transformers and bert-score.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ns_eval.errors import UsageError, suggest
from summarize.text_paired import mean_metric
from summarize.text_scored import Scored

Floats: TypeAlias = npt.NDArray[np.float64]
_DEFAULTS = {"sbert": "sentence-transformers/all-mpnet-base-v2", "bertscore": "roberta-large"}
_PACKAGES = {"sbert": ("sentence_transformers", "torch"), "bertscore": ("bert_score", "torch")}
_INSTALL = "pip install 'ns-eval[text-models]'"
_BATCH = 32


def similarity(asked: str, name: str, device: str | None) -> SentenceSimilarity | BertScore:
    """What `sbert`, `bertscore`, or either with `:PATH_OR_ID` means; its column is called `name`.

    Raises:
        UsageError: neither of them, packages that are not installed, weights that are not there.
    """
    kind, _, model = asked.partition(":")
    if kind not in _DEFAULTS:
        raise UsageError(
            f"semantic_similarity_model: unknown `{kind}`, {suggest(kind, _DEFAULTS)}", "sbert, bertscore, or sbert:PATH"
        )
    missing = [package for package in _PACKAGES[kind] if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(
            f"{name} by {kind} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint=_INSTALL,
        )
    chosen = model or _DEFAULTS[kind]
    _require_weights(chosen, f"{name} by {kind}")
    return (SentenceSimilarity if kind == "sbert" else BertScore)(chosen, name, device)


def _require_weights(model: str, purpose: str) -> None:
    from transformers import AutoConfig

    if Path(model).expanduser().exists() and not (Path(model).expanduser() / "config.json").is_file():
        raise UsageError(f"{purpose}: {model} holds no config.json: it is no model", hint="give the folder of a checkpoint")
    try:
        AutoConfig.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{purpose} needs the weights of {model}, which are not on this machine",
            hint=f"hf download {model}    fetches them; a folder of a checkpoint does as well",
        ) from error


class SentenceSimilarity:
    """The cosine of two texts' embeddings; of a text longer than the model reads those of its pieces are averaged, each with
    the weight of its length."""

    def __init__(self, model: str, name: str, device: str | None) -> None:
        from sentence_transformers import SentenceTransformer

        self.name, self._model = name, model
        self._encoder: Any = SentenceTransformer(model, device=device, local_files_only=True)

    def score(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
        """The best reference counts."""
        every = list(dict.fromkeys([*texts, *(one for listed in references for one in listed)]))
        embedded, chunked = self._embedded(every)
        place = {text: at for at, text in enumerate(every)}
        values = [
            max(float(embedded[place[text]] @ embedded[place[one]]) for one in listed)
            for text, listed in zip(texts, references, strict=True)
        ]
        notes = (
            [f"{self.name}: {chunked} of {len(every)} texts were embedded in pieces of {self._room} tokens"]
            if chunked
            else []
        )
        return Scored([mean_metric(self.name, np.array(values))], {self.name: self.source}, notes)

    @property
    def source(self) -> str:
        revision = getattr(self._encoder[0].auto_model.config, "_commit_hash", None)
        return f"cosine by sentence-transformers {version('sentence-transformers')}, {self._model}@{revision or 'local'}"

    @property
    def _room(self) -> int:
        """Tokens of one piece, without the two that mark its ends."""
        return int(self._encoder.max_seq_length or 512) - 2

    def _embedded(self, texts: Sequence[str]) -> tuple[Floats, int]:
        """Unit vectors, shape (texts, width), and how many texts were cut into pieces."""
        pieces = [self._pieces(text) for text in texts]
        flat = [piece for own in pieces for piece in own]
        vectors = np.asarray(self._encoder.encode(flat, batch_size=_BATCH, show_progress_bar=False), dtype=np.float64)
        owner = np.repeat(np.arange(len(texts)), [len(own) for own in pieces])
        weights = np.array([len(piece) + 1 for piece in flat], dtype=np.float64)
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        summed = np.zeros((len(texts), vectors.shape[1]))
        np.add.at(summed, owner, unit * weights[:, None])
        norms = np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
        return summed / norms, sum(len(own) > 1 for own in pieces)

    def _pieces(self, text: str) -> list[str]:
        tokenizer = self._encoder.tokenizer
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
        spans = found["offset_mapping"]
        if len(spans) <= self._room:
            return [text]
        starts = range(0, len(spans), self._room)
        return [text[spans[at][0] : spans[min(at + self._room, len(spans)) - 1][1]] for at in starts]


class BertScore:
    """bert-score's F1, rescaled by its baseline where it ships one for the model; precision and recall beside it."""

    def __init__(self, model: str, name: str, device: str | None) -> None:
        import bert_score
        from bert_score.utils import model2layers
        from transformers import AutoConfig

        self.name, self._model = name, model
        config = AutoConfig.from_pretrained(model, local_files_only=True)
        layers = model2layers.get(model) or config.num_hidden_layers
        baseline = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / f"{model}.tsv"
        self._rescaled = baseline.is_file()
        self._scorer: Any = bert_score.BERTScorer(
            model_type=model, num_layers=layers, device=device, lang="en", rescale_with_baseline=self._rescaled
        )
        room = getattr(config, "max_position_embeddings", 512)
        tokenizer = self._scorer._tokenizer
        # bert-score leaves the cut to the tokenizer, which for a model without that entry makes none: the model would fail.
        tokenizer.model_max_length = min(tokenizer.model_max_length, room - _reserved(config))

    def score(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
        """The best reference by F1; an empty text has nothing in common with any, 0."""
        flat = [(text, one) for text, listed in zip(texts, references, strict=True) for one in listed]
        asked = [at for at, (text, _) in enumerate(flat) if text.strip()]
        found = np.zeros((3, len(flat)))
        if asked:
            scored = self._scorer.score([flat[at][0] for at in asked], [flat[at][1] for at in asked], batch_size=_BATCH)
            found[:, asked] = [part.cpu().numpy() for part in scored]
        edges = np.cumsum([0, *(len(listed) for listed in references)])
        best = [start + int(np.argmax(found[2, start:end])) for start, end in itertools.pairwise(edges)]
        names = (f"{self.name}_precision", f"{self.name}_recall", self.name)
        # Precision and recall stand beside their F1: only that is compared.
        metrics = [
            mean_metric(name, part[best], higher_is_better=True if name == self.name else None)
            for name, part in zip(names, found, strict=True)
        ]
        return Scored(metrics, dict.fromkeys(names, self._scorer.hash), self._cut([*texts, *(one for _, one in flat)]))

    def _cut(self, texts: Sequence[str]) -> list[str]:
        tokenizer, every = self._scorer._tokenizer, list(dict.fromkeys(texts))
        lengths = [len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in every]
        cut = sum(length > tokenizer.model_max_length for length in lengths)
        room = tokenizer.model_max_length
        return (
            [f"{self.name}: {cut} of {len(every)} texts were cut at {room} tokens, which is all its model reads"]
            if cut
            else []
        )


def _reserved(config: Any) -> int:
    """RoBERTa's positions begin behind its padding token."""
    return (config.pad_token_id or 0) + 1 if "roberta" in str(config.model_type) else 0


def logprobs(
    model: str, prompts: Sequence[str], references: Sequence[str], adapter: str | None, device: str | None
) -> list[list[float]]:
    """The log-probability of every token of each reference behind its prompt: one pass over prompt and reference each."""
    if len(prompts) != len(references):
        raise UsageError(f"{len(prompts)} prompts and {len(references)} references")
    _require_weights(model, "perplexity by transformers")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    # A processor gains nothing from the checkpoint's half precision, and loses up to half a nat of a token.
    dtype = torch.float32 if place == "cpu" else "auto"
    network = AutoModelForCausalLM.from_pretrained(model, local_files_only=True, dtype=dtype)
    if adapter is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, adapter)
    network.to(place).eval()
    with torch.inference_mode():
        return list(_each(network, tokenizer, zip(prompts, references, strict=True), place))


def _each(network: Any, tokenizer: Any, pairs: Iterator[tuple[str, str]], place: str) -> Iterator[list[float]]:
    import torch

    for prompt, reference in pairs:
        # In one piece, as a server reads them.
        head, whole = tokenizer(prompt)["input_ids"], tokenizer(prompt + reference)["input_ids"]
        if not head:
            whole = [tokenizer.bos_token_id or tokenizer.eos_token_id or 0, *whole]
        start = max(1, len(head))
        ids = torch.tensor([whole], device=place)
        found = torch.log_softmax(network(ids).logits[0, start - 1 : -1].float(), dim=-1)
        own: list[float] = found.gather(1, ids[0, start:, None])[:, 0].tolist()
        yield own
