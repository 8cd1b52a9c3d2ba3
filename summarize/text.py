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

import importlib.util
from collections.abc import Sequence

import numpy as np

from ns_eval.errors import DataError, UsageError, suggest
from summarize import text_nemo
from summarize.intervals import Interval, interval
from summarize.text_compare import compared
from summarize.text_paired import Metric, intervals, perplexity_of
from summarize.text_pairs import Pairs, paired, profile
from summarize.text_results import Aggregate, Comparison, Evaluation
from summarize.text_scored import OVERLAP, OverlapScorer, Scored, Scorer

METRICS = ("semantic_similarity", "bertscore", *OVERLAP, "perplexity", text_nemo.NAME)
# What a comparison is about, where nobody says it.
_FOREMOST = ("semantic_similarity", "bertscore", "f1", "rouge", "bleu", "chrf", "exact_match", "perplexity", text_nemo.NAME)
_PLAIN = Interval()


class Evaluator:
    """Computes the metrics that are asked for; the same one must be used for both models of a comparison.

    `semantic_similarity_model` is `sbert` (all-mpnet-base-v2), `bertscore` (roberta-large), or either with `:PATH_OR_ID`;
    `device` is torch's, by default a GPU where there is one. `primary` names the metric that a comparison is about, `how`
    the level of its intervals, their draws and their seed; `workers` processes measure many pairs, by default one a core.

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
        how: Interval = _PLAIN,
        workers: int | None = None,
    ) -> None:
        self._metrics = _known(metrics)
        self._primary, self._how = primary, how
        chosen = [name for name in OVERLAP if name in self._metrics]
        overlap = {"metrics": chosen, "rouge_types": list(rouge_types), "use_stemmer": use_stemmer}
        self._scorers: list[Scorer] = [OverlapScorer(overlap, workers)] if chosen else []
        meant = [name for name in ("semantic_similarity", "bertscore") if name in self._metrics]
        if meant:
            self._scorers += _similarity(meant, semantic_similarity_model, device)
        if text_nemo.NAME in self._metrics:
            self._scorers.append(text_nemo.NemoScorer(workers))
        self._settings = {
            **overlap,
            "metrics": list(self._metrics),
            "semantic_similarity_model": semantic_similarity_model if meant else None,
            "level": how.level,
            "draws": how.draws,
            "seed": how.seed,
        }

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
        pairs = paired(predictions, references, ids)
        lengths = profile(pairs, seconds, tokens)
        perplexity = [_perplexity(reference_logprobs, pairs)] if "perplexity" in self._metrics else []
        scored = [*(scorer.score(pairs.predictions, pairs.references) for scorer in self._scorers), *perplexity]
        found = [metric for one in scored for metric in one.metrics]
        sources = {name: source for one in scored for name, source in one.sources.items()}
        return Evaluation(
            settings=self._settings,
            metrics=_aggregates(found, sources, self._how),
            profile=lengths,
            ids=pairs.ids,
            pairs=pairs.hashes(),
            predictions=pairs.predictions,
            references=pairs.references,
            examples={metric.name: tuple(metric.values.tolist()) for metric in found},
            parts={metric.name: tuple(map(tuple, metric.parts.tolist())) for metric in found if not metric.is_mean},
            left_out=pairs.asked - len(pairs.kept),
            notes=tuple(note for one in scored for note in one.notes),
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
        return self._primary or next(name for name in _FOREMOST if name in self._metrics)


def reference_logprobs(
    model: str, prompts: Sequence[str], references: Sequence[str], adapter: str | None = None, device: str | None = None
) -> list[list[float]]:
    """The log-probability of every token of each reference behind its prompt, by transformers (extra `text-models`).

    Raises:
        UsageError: torch or transformers is not installed, or the model's files are missing.
    """
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"log-probabilities need {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'ns-eval[text-models]'",
        )
    from summarize.text_models import logprobs

    return logprobs(model, prompts, references, adapter, device)


def _known(metrics: Sequence[str]) -> tuple[str, ...]:
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"metrics: unknown metric `{name}`, {suggest(name, METRICS)}")
    if not metrics:
        raise UsageError(f"metrics: none is named; known: {', '.join(METRICS)}")
    return tuple(metrics)


def _similarity(names: Sequence[str], asked: str, device: str | None) -> list[Scorer]:
    from summarize.text_models import similarity

    kind, _, _ = asked.partition(":")
    models = {"semantic_similarity": asked, "bertscore": asked if kind == "bertscore" else "bertscore"}
    return [similarity(models[name], name, device) for name in names]


def _perplexity(given: Sequence[Sequence[float]] | None, pairs: Pairs) -> Scored:
    if given is None:
        raise UsageError(
            "perplexity needs the log-probabilities of the references under the model",
            hint="evaluate(…, reference_logprobs=summarize.text.reference_logprobs(model, prompts, references))",
        )
    chosen = pairs.chosen(given, "reference_logprobs")
    for at, own in zip(pairs.kept, chosen, strict=True):
        if not len(own):
            raise DataError(f"reference_logprobs[{at}] holds no token")
    parts = np.array([[float(np.sum(own)), float(len(own))] for own in chosen])
    metric = Metric("perplexity", perplexity_of(parts), parts, perplexity_of, higher_is_better=False)
    return Scored([metric], {"perplexity": "exp(-sum of log p / tokens) of the references under the model, tokens pooled"})


def _aggregates(found: Sequence[Metric], sources: dict[str, str], how: Interval) -> dict[str, Aggregate]:
    corpus = [metric for metric in found if not metric.is_mean]
    drawn = dict(zip((metric.name for metric in corpus), intervals(corpus, how.level, how.draws, how.seed), strict=True))
    made = {}
    for metric in found:
        values = metric.values
        low, high = (drawn[metric.name] if metric.name in drawn else _mean_interval(metric, how)) or (None, None)
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        spread = (float(values.mean()), float(np.median(values)), sd)
        made[metric.name] = Aggregate(
            metric.value, low, high, *spread, sources.get(metric.name, ""), metric.higher_is_better
        )
    return made


def _mean_interval(metric: Metric, how: Interval) -> tuple[float, float] | None:
    ends = interval(metric.values / metric.scale, how) if len(metric.values) > 1 else None
    return None if ends is None else (metric.scale * ends[0], metric.scale * ends[1])
