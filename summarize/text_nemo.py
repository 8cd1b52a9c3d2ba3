"""The text metrics of an installed nemo-evaluator, beside ours and under its name: "nemo_evaluator:f1".

From release 0.1.90 on the package holds scorers for benchmarks of one's own, functions of one answer and one target
(nemo_evaluator/contrib/byob/scorers.py); no release has an evaluator of texts. They are its own implementations, and their
numbers are not those of ROUGE's and BLEU's usual libraries: words are what blanks separate, as they are, lower case.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ns_eval.errors import UsageError
from summarize.text_paired import mean_metric
from summarize.text_scored import Scored, each_measured

NAME = "nemo_evaluator"
_HOME = "nemo_evaluator.contrib.byob"
_INSTALL = "pip install 'nemo-evaluator>=0.1.90'"
# Scorer -> its value by our name for it. What a newer release adds, or an older one has not, is left out.
_TAKEN = {
    "contains": {"correct": "contains"},
    "exact_match": {"correct": "exact_match"},
    "f1_token": {"f1": "f1", "precision": "precision", "recall": "recall"},
    "bleu": {f"bleu_{order}": f"bleu_{order}" for order in range(1, 5)},
    "rouge": {"rouge_1": "rouge_1", "rouge_2": "rouge_2", "rouge_l": "rouge_l"},
    "chrf": {"chrf": "chrf", "chrf_pp": "chrf_pp"},
}
# Shown and not compared: what belongs to another one's number.
_BESIDE = {"precision", "recall", "bleu_1", "bleu_2", "bleu_3", "chrf_pp"}
# chrF alone is not a share.
_SCALE = {"chrf": 100.0, "chrf_pp": 100.0}


class NemoMetrics:
    """For processes of its own: nemo-evaluator sets up the logging of the whole process when it is imported."""

    def warm(self) -> None:
        """Called once before workers are forked."""
        _ = self._scorers

    def measure(self, text: str, references: Sequence[str]) -> Mapping[str, float]:
        """Each score of a text; of several references the best."""
        found: dict[str, float] = {}
        for reference in references:
            for name, scorer in self._scorers.items():
                values = scorer(self._input(text, reference, {}))
                for theirs, ours in _TAKEN[name].items():
                    found[ours] = max(found.get(ours, 0.0), float(values[theirs]))
        return found

    @functools.cached_property
    def _scorers(self) -> dict[str, Callable[[Any], Mapping[str, float]]]:
        os.environ.setdefault("NEMO_EVALUATOR_LOG_LEVEL", "WARNING")
        from nemo_evaluator.contrib.byob import scorers

        return {name: getattr(scorers, name) for name in _TAKEN if hasattr(scorers, name)}

    @functools.cached_property
    def _input(self) -> Callable[[str, str, dict[str, Any]], Any]:
        from nemo_evaluator.contrib.byob.decorators import ScorerInput

        made: Callable[[str, str, dict[str, Any]], Any] = ScorerInput
        return made


class NemoScorer:
    """Scores pairs with nemo-evaluator.

    Raises:
        UsageError: it is not installed, or is a release without these scorers.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers
        try:
            self._version = version("nemo-evaluator")
        except PackageNotFoundError as error:
            raise UsageError("the metrics of nemo-evaluator need it, and it is not installed", hint=_INSTALL) from error
        if not _has_scorers():
            raise UsageError(f"nemo-evaluator {self._version} has no {_HOME}.scorers", hint=_INSTALL)

    def score(self, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
        spec = {"_target_": "summarize.text_nemo.NemoMetrics"}
        measured = list(each_measured(spec, texts, references, self._workers))
        metrics = [
            mean_metric(
                f"{NAME}:{name}",
                np.array([one[name] for one in measured]),
                higher_is_better=None if name in _BESIDE else True,
                scale=_SCALE.get(name, 1.0),
            )
            for name in measured[0]
        ]
        homes = {ours: scorer for scorer, taken in _TAKEN.items() for ours in taken.values()}
        source = f"nemo-evaluator {self._version}, {_HOME}.scorers"
        return Scored(metrics, {f"{NAME}:{name}": f"{source}.{homes[name]}" for name in measured[0]})


def _has_scorers() -> bool:
    """Without importing it here."""
    found = importlib.util.find_spec("nemo_evaluator")
    places = [] if found is None else list(found.submodule_search_locations or ())
    return any((Path(place) / "contrib" / "byob" / "scorers.py").is_file() for place in places)
