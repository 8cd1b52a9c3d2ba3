"""Text metrics of predictions against references, and of two models on the same questions.

    from summarize.text import Evaluator

    evaluator = Evaluator(metrics=["semantic_similarity", "rouge", "bleu", "exact_match", "f1"],
                          semantic_similarity_model="sbert", rouge_types=["rouge1", "rouge2", "rougeL"])
    base = evaluator.evaluate(predictions=base_texts, references=references)
    peft = evaluator.evaluate(predictions=peft_texts, references=references)
    print(evaluator.compare(base, peft))

Word overlap is measured by the judge of conf/judge/text.yaml, the same that grades a run. What each number is: docs/text.md.
"""

from __future__ import annotations

import collections
import hashlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.grading import build_judge
from ns_eval.pool.workers import CallFailed, Limits, Pool
from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml
from summarize.intervals import Interval, interval
from summarize.text_compare import compared
from summarize.text_paired import Metric, corpus_bleu, intervals, mean_metric, perplexity_of
from summarize.text_results import Aggregate, Comparison, Evaluation, Profile

METRICS = ("semantic_similarity", "bertscore", "rouge", "bleu", "chrf", "exact_match", "f1", "perplexity")
_OVERLAP = ("exact_match", "f1", "rouge", "bleu", "chrf")
# sacrebleu's own scale.
_PERCENT = {"bleu": 100.0, "chrf": 100.0}
# Fewer pairs are measured here: starting processes costs more.
_POOLED = 2000
_TIMEOUT_S = 120.0
_log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]


class Evaluator:
    """Computes the metrics that are asked for; the same one must be used for both models of a comparison.

    `semantic_similarity_model` is `sbert` (all-mpnet-base-v2), `bertscore` (roberta-large), or either with `:PATH_OR_ID`;
    `device` is torch's, by default a GPU where there is one. `primary` names the metric that a comparison is about.

    Raises:
        UsageError: an unknown metric (with the nearest name), one whose packages or weights are missing (with the command).
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("rouge", "bleu", "exact_match", "f1"),
        semantic_similarity_model: str = "sbert",
        rouge_types: Sequence[str] = ("rouge1", "rouge2", "rougeL"),
        device: str | None = None,
        *,
        use_stemmer: bool = True,
        primary: str | None = None,
        level: float = 0.95,
        draws: int = 10_000,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        self._metrics = tuple(metrics)
        for name in self._metrics:
            if name not in METRICS:
                raise UsageError(f"metrics: unknown metric `{name}`, {suggest(name, METRICS)}")
        if not self._metrics:
            raise UsageError(f"metrics: none is named; known: {', '.join(METRICS)}")
        self._similarity, self._device, self._workers = semantic_similarity_model, device, workers
        self._how = Interval(level=level, draws=draws, seed=seed)
        lexical = [name for name in _OVERLAP if name in self._metrics]
        options = {"metrics": lexical, "rouge_types": list(rouge_types), "use_stemmer": use_stemmer}
        self._spec = {**load_yaml(conf_file("judge", "text")), **options}
        self._judge = build_judge(self._spec)
        self._primary = primary
        similarity = semantic_similarity_model if {"semantic_similarity", "bertscore"} & set(self._metrics) else None
        self._settings = {"metrics": list(self._metrics), "semantic_similarity_model": similarity, **options}
        self._settings |= {"level": level, "draws": draws, "seed": seed}
        self._scorers = self._similarity_scorers()

    def evaluate(
        self,
        predictions: Sequence[str],
        references: Sequence[str] | Sequence[Sequence[str]],
        *,
        ids: Sequence[str] | None = None,
        seconds: Sequence[float] | None = None,
        tokens: Sequence[int] | None = None,
        reference_logprobs: Sequence[Sequence[float]] | None = None,
    ) -> Evaluation:
        """The metrics of one model's texts. A reference is a text or a list of texts, of which the best counts; pairs whose
        references are all empty are left out and counted. `seconds` and `tokens` of each answer give its speed;
        `reference_logprobs`, the log-probability of every token of each reference, gives perplexity.

        Raises:
            DataError: lists of different length, a None among them, no reference that is not empty.
        """
        pairs = _pairs(predictions, references, ids)
        kept = [at for at, listed in enumerate(pairs.references) if listed]
        if not kept:
            raise DataError(f"all {len(pairs.ids)} references are empty: there is nothing to compare with")
        texts = [pairs.predictions[at] for at in kept]
        wanted = [pairs.references[at] for at in kept]
        found, sources, notes = self._overlap(texts, wanted)
        for scorer in self._scorers:
            scored = scorer.score(texts, wanted)
            # Precision and recall stand beside their F1: only that is compared.
            found += [
                mean_metric(name, values, higher_is_better=True if name == scorer.name else None)
                for name, values in scored.columns.items()
            ]
            sources |= scored.sources
            notes += scored.notes
        if "perplexity" in self._metrics:
            found.append(_perplexity(reference_logprobs, kept, len(pairs.ids)))
            sources["perplexity"] = "exp(-sum of log p / tokens) of the references under the model, tokens pooled"
        aggregates = self._aggregates(found, sources)
        if "chrf" in self._metrics:
            value = 100 * self._judge.corpus_chrf(texts, wanted)
            own = aggregates["chrf"]
            aggregates["corpus_chrf"] = Aggregate(value, None, None, own.mean, own.median, own.sd, f"{own.source}, pooled")
        return Evaluation(
            settings=self._settings,
            metrics=aggregates,
            profile=_profile(texts, _chosen(seconds, kept, pairs, "seconds"), _chosen(tokens, kept, pairs, "tokens")),
            ids=tuple(pairs.ids[at] for at in kept),
            pairs=tuple(hashlib.sha256("\0".join(listed).encode()).hexdigest()[:16] for listed in wanted),
            predictions=tuple(texts),
            references=tuple(map(tuple, wanted)),
            examples={metric.name: tuple(metric.values.tolist()) for metric in found},
            parts={metric.name: tuple(map(tuple, metric.parts.tolist())) for metric in found if not metric.is_mean},
            left_out=len(pairs.ids) - len(kept),
            notes=tuple(notes),
        )

    def compare(self, base: Evaluation, peft: Evaluation) -> Comparison:
        """PEFT against base, metric by metric.

        Raises:
            DataError: other questions or references, or other settings; the key is named.
        """
        return compared(base, peft, self._how, self.primary)

    @property
    def primary(self) -> str:
        """The metric that the comparison is about: the one that was named, else the first here that is computed."""
        order = ("semantic_similarity", "bertscore", "f1", "rouge", "bleu", "chrf", "exact_match", "perplexity")
        return self._primary or next(name for name in order if name in self._metrics)

    def _similarity_scorers(self) -> list[Any]:
        asked = [name for name in ("semantic_similarity", "bertscore") if name in self._metrics]
        if not asked:
            return []
        from summarize.text_models import similarity

        kind, _, _ = self._similarity.partition(":")
        models = {
            "semantic_similarity": self._similarity,
            "bertscore": self._similarity if kind == "bertscore" else "bertscore",
        }
        return [similarity(models[name], name, self._device) for name in asked]

    def _overlap(self, texts: list[str], wanted: list[list[str]]) -> tuple[list[Metric], dict[str, str], list[str]]:
        if not self._spec["metrics"]:
            return [], {}, []
        measured = list(self._measured(texts, wanted))
        found = []
        for name in measured[0].scores:
            scale = _PERCENT.get(name, 1.0)
            values = scale * np.array([one.scores[name] for one in measured])
            if name == "bleu":
                counts = np.array([one.bleu_counts for one in measured], dtype=np.float64)
                found.append(Metric(name, values, counts, corpus_bleu, scale=scale))
            else:
                found.append(mean_metric(name, values, scale=scale))
        named: Mapping[str, str] = self._judge.sources(max(map(len, wanted)))
        sources = {metric.name: named["rouge" if metric.name.startswith("rouge") else metric.name] for metric in found}
        return found, sources, []

    def _measured(self, texts: list[str], wanted: list[list[str]]) -> Iterator[Any]:
        """In order; many pairs are dealt over processes, and how far they are is logged."""
        if len(texts) < _POOLED:
            yield from (self._judge.measure(text, listed) for text, listed in zip(texts, wanted, strict=True))
            return
        pool = Pool(self._spec, "measure", Limits(workers=self._workers or 2, timeout_s=_TIMEOUT_S))
        waiting: collections.deque[Future[Any]] = collections.deque()
        try:
            for number, (text, listed) in enumerate(zip(texts, wanted, strict=True)):
                waiting.append(pool.submit(text, listed))
                if len(waiting) > _POOLED:
                    yield waiting.popleft().result()
                if number and number % max(1, len(texts) // 10) == 0:
                    _log.info("text metrics: %s of %s pairs", f"{number:,}", f"{len(texts):,}")
            while waiting:
                yield waiting.popleft().result()
        except CallFailed as failure:
            raise DataError(f"text metrics: a pair could not be measured: {failure}") from failure
        finally:
            pool.close()

    def _aggregates(self, found: list[Metric], sources: Mapping[str, str]) -> dict[str, Aggregate]:
        corpus = [metric for metric in found if not metric.is_mean]
        drawn = dict(
            zip([m.name for m in corpus], intervals(corpus, self._how.level, self._how.draws, self._how.seed), strict=True)
        )
        made = {}
        for metric in found:
            values = metric.values
            ends = drawn[metric.name] if metric.name in drawn else _mean_interval(metric, self._how)
            low, high = ends or (None, None)
            sd = float(values.std(ddof=1)) if len(values) > 1 else None
            spread = (float(values.mean()), float(np.median(values)), sd)
            made[metric.name] = Aggregate(
                metric.value, low, high, *spread, sources.get(metric.name, ""), metric.higher_is_better
            )
        return made


class _Pairs:
    """Texts, their references without the empty ones, and their names."""

    def __init__(self, ids: list[str], predictions: list[str], references: list[list[str]]) -> None:
        self.ids, self.predictions, self.references = ids, predictions, references


def _pairs(predictions: Sequence[str], references: Sequence[Any], ids: Sequence[str] | None) -> _Pairs:
    for name, given in (("predictions", predictions), ("references", references)):
        if isinstance(given, str):
            raise UsageError(f"{name} is one text; expected a list of texts")
    texts, wanted = list(predictions), [[one] if isinstance(one, str) else one for one in references]
    if len(texts) != len(wanted):
        raise DataError(f"{len(texts)} predictions and {len(wanted)} references: each prediction needs its own")
    if not texts:
        raise DataError("there are no predictions")
    for at, (text, listed) in enumerate(zip(texts, wanted, strict=True)):
        if not isinstance(text, str):
            raise DataError(
                f"predictions[{at}] is {text!r:.40}, expected a text", hint="an answer that failed is no empty answer"
            )
        if listed is None or any(not isinstance(one, str) for one in listed):
            raise DataError(f"references[{at}] is {listed!r:.40}, expected a text or a list of texts")
    names = [str(at) for at in range(len(texts))] if ids is None else [str(name) for name in ids]
    if len(names) != len(texts):
        raise DataError(f"{len(texts)} predictions and {len(names)} ids")
    return _Pairs(names, texts, [[one for one in listed if one.strip()] for listed in wanted])


def _chosen(given: Sequence[float] | None, kept: list[int], pairs: _Pairs, name: str) -> Floats | None:
    if given is None:
        return None
    if len(given) != len(pairs.ids):
        raise DataError(f"{len(pairs.ids)} predictions and {len(given)} {name}")
    return np.array([given[at] for at in kept], dtype=np.float64)


def _profile(texts: list[str], seconds: Floats | None, tokens: Floats | None) -> dict[str, Profile]:
    """Words are what blanks separate: in a language without blanks look at characters."""
    columns: dict[str, Floats] = {
        "words": np.array([len(text.split()) for text in texts], dtype=np.float64),
        "characters": np.array([len(text) for text in texts], dtype=np.float64),
    }
    columns |= {name: values for name, values in (("seconds", seconds), ("tokens", tokens)) if values is not None}
    if seconds is not None and tokens is not None and (seconds > 0).all():
        columns["tokens_per_second"] = tokens / seconds
    return {
        name: Profile(float(values.mean()), float(np.median(values)), float(np.quantile(values, 0.95)))
        for name, values in columns.items()
    }


def _perplexity(given: Sequence[Sequence[float]] | None, kept: list[int], asked: int) -> Metric:
    if given is None:
        raise UsageError(
            "perplexity needs the log-probabilities of the references under the model",
            hint="evaluate(…, reference_logprobs=summarize.text.reference_logprobs(model, prompts, references))",
        )
    if len(given) != asked:
        raise DataError(f"{asked} predictions and {len(given)} reference_logprobs")
    empty = next((at for at in kept if not len(given[at])), None)
    if empty is not None:
        raise DataError(f"reference_logprobs[{empty}] holds no token")
    parts = np.array([[float(np.sum(given[at])), float(len(given[at]))] for at in kept])
    return Metric("perplexity", perplexity_of(parts), parts, perplexity_of, higher_is_better=False)


def reference_logprobs(
    model: str, prompts: Sequence[str], references: Sequence[str], adapter: str | None = None, device: str | None = None
) -> list[list[float]]:
    """The log-probability of every token of each reference behind its prompt, by transformers (extra `text-models`).

    Raises:
        UsageError: torch or transformers is not installed, or the model's files are missing.
    """
    if importlib.util.find_spec("torch") is None:
        raise UsageError("log-probabilities need torch, which is not installed", hint="pip install 'ns-eval[text-models]'")
    from summarize.text_models import logprobs

    return logprobs(model, prompts, references, adapter, device)


def _mean_interval(metric: Metric, how: Interval) -> tuple[float, float] | None:
    ends = interval(metric.values / metric.scale, how) if len(metric.values) > 1 else None
    return None if ends is None else (metric.scale * ends[0], metric.scale * ends[1])
