"""What scores texts for the Evaluator: each takes all pairs and gives metrics with what computed them.

A judge's overlap and the metrics of an installed nemo-evaluator are measured pair by pair, of many pairs in processes; those
that need a model of their own are in summarize/text_models.py.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ns_eval.errors import DataError
from ns_eval.grading import build_judge, cores
from ns_eval.pool.workers import CallFailed, Limits, Pool
from ns_eval.records import Json
from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml
from summarize.text_paired import Metric, corpus_bleu, corpus_chrf, mean_metric

OVERLAP = ("exact_match", "f1", "rouge", "bleu", "chrf")
_OF_SUMS = {"bleu": corpus_bleu, "chrf": corpus_chrf}
# sacrebleu's own scale.
_PERCENT = {"bleu": 100.0, "chrf": 100.0}
# Fewer pairs are measured here: starting processes costs more.
_POOLED = 2000
_TIMEOUT_S = 120.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scored:
    """Metrics of all pairs. `sources` say what computed them, `notes` count what a metric's own model did not read whole."""

    metrics: Sequence[Metric]
    sources: Mapping[str, str]
    notes: Sequence[str] = ()


class Scorer(Protocol):
    """Anything that scores texts against their references, of which each text has at least one."""

    def score(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored: ...


class OverlapScorer:
    """Exact match, F1, ROUGE, BLEU and chrF by the judge of conf/judge/text.yaml, the same that grades a run.

    Raises:
        UsageError: an unknown type of ROUGE, a metric whose library is not installed.
    """

    def __init__(self, options: Mapping[str, Json], workers: int | None) -> None:
        self._spec = {**load_yaml(conf_file("judge", "text")), **options}
        self._judge: Any = build_judge(self._spec)
        self._workers = workers

    def score(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
        if len(texts) < _POOLED:
            measured = [self._judge.measure(text, listed) for text, listed in zip(texts, references, strict=True)]
        else:
            measured = list(each_measured(self._spec, texts, references, self._workers))
        named: Mapping[str, str] = self._judge.sources(max(map(len, references)))
        metrics, sources = [], {}
        for name in measured[0].scores:
            scale = _PERCENT.get(name, 1.0)
            values = scale * np.array([one.scores[name] for one in measured])
            sources[name] = named["rouge" if name.startswith("rouge") else name]
            if name in _OF_SUMS:
                counts = np.array([one.counts[name] for one in measured], dtype=np.float64)
                metrics.append(Metric(name, values, counts, _OF_SUMS[name], scale=scale))
            else:
                metrics.append(mean_metric(name, values, scale=scale))
        return Scored(metrics, sources)


def each_measured(
    spec: Mapping[str, Json], texts: Sequence[str], references: Sequence[Sequence[str]], workers: int | None
) -> Iterator[Any]:
    """`measure(text, references)` of what `spec` names for each pair, in order, dealt over processes; how far they are is
    logged.

    Raises:
        DataError: a pair that could not be measured there.
    """
    pairs = list(zip(texts, references, strict=True))
    pool = Pool(spec, "measure", Limits(workers=workers or cores(), timeout_s=_TIMEOUT_S))
    waiting: collections.deque[Future[Any]] = collections.deque()
    try:
        for number, pair in enumerate(pairs):
            waiting.append(pool.submit(*pair))
            if len(waiting) > _POOLED:
                yield waiting.popleft().result()
            if number and len(pairs) >= _POOLED and number % (len(pairs) // 10) == 0:
                _log.info("text metrics: %s of %s pairs", f"{number:,}", f"{len(pairs):,}")
        while waiting:
            yield waiting.popleft().result()
    except CallFailed as failure:
        raise DataError(f"text metrics: a pair could not be measured: {failure}") from failure
    finally:
        pool.close()
