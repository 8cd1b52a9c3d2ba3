"""How far a text covers its references in words and characters: exact match, token F1, ROUGE, BLEU, chrF.

Exact match and F1 are SQuAD's (rajpurkar/SQuAD-explorer, evaluate-v2.0.py): lower case, ASCII punctuation out, the words
a, an and the out, blanks collapsed; nothing of Unicode is folded. ROUGE is rouge-score's, BLEU and chrF are sacrebleu's.
All are shares from 0 to 1 here; of several references the best counts, for BLEU and chrF as sacrebleu takes several.
"""

from __future__ import annotations

import collections
import functools
import importlib.util
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from ns_eval.errors import UsageError, suggest

METRICS = ("exact_match", "f1", "rouge", "bleu", "chrf")
_LIBRARIES = {"rouge": "rouge_score", "bleu": "sacrebleu", "chrf": "sacrebleu"}
_INSTALL = "pip install 'ns-eval[text]'"
_ROUGE = re.compile(r"rouge(?:[1-9]|L|Lsum)")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
# rouge-score's own rules (tokenize.py, 0.1.2).
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_SHORTEST_STEMMED = 4


@dataclass(frozen=True, slots=True)
class OverlapOptions:
    """Which metrics, and ROUGE's two choices: its types, and whether words count by their Porter stem."""

    metrics: tuple[str, ...] = METRICS
    rouge_types: tuple[str, ...] = ("rouge1", "rouge2", "rougeL")
    use_stemmer: bool = True

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise UsageError(f"metrics: unknown metric `{name}`, {suggest(name, METRICS)}")
        for name in self.rouge_types:
            if not _ROUGE.fullmatch(name):
                known = ("rouge1", "rouge2", "rougeL", "rougeLsum")
                raise UsageError(f"rouge_types: unknown type `{name}`, {suggest(name, known)}")


@dataclass(frozen=True, slots=True)
class Measured:
    """`scores` by name, each from 0 to 1. `counts` are what corpus scores sum over texts. Of bleu: length, reference length,
    then the matching and all n-grams of n = 1 to 4; of chrf for each n = 1 to 6 the n-grams of characters of the text, of
    its best reference, and those in both."""

    scores: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Overlap:
    """Measures one text against its references; `load()` imports the libraries, which takes seconds.

    Raises:
        UsageError: a metric whose library is not installed.
    """

    def __init__(self, options: OverlapOptions) -> None:
        self.options = options
        for metric in options.metrics:
            library = _LIBRARIES.get(metric)
            if library and importlib.util.find_spec(library) is None:
                raise UsageError(f"the metric {metric} needs {library}, which is not installed", hint=_INSTALL)

    def load(self) -> None:
        """Imports what the metrics need."""
        for metric in self.options.metrics:
            getattr(self, f"_{metric}", None)

    def measure(self, text: str, references: Sequence[str]) -> Measured:
        """The scores of a text; there must be a reference, which may be empty."""
        asked = self.options.metrics
        scores: dict[str, float] = {}
        counts: dict[str, tuple[int, ...]] = {}
        if "exact_match" in asked:
            scores["exact_match"] = max(exact_match(text, reference) for reference in references)
        if "f1" in asked:
            scores["f1"] = max(token_f1(text, reference) for reference in references)
        if "rouge" in asked:
            scores |= self._rouge_scores(text, references)
        if "bleu" in asked:
            found = self._bleu.sentence_score(text, list(references))
            scores["bleu"] = min(1.0, found.score / 100)  # of floats that add up to a little more
            counts["bleu"] = (found.sys_len, found.ref_len, *found.counts, *found.totals)
        if "chrf" in asked:
            # `sentence_score` does the same and drops the counts (sacrebleu/metrics/base.py, 2.6.0).
            (own,) = self._chrf._extract_corpus_statistics([text], [[reference] for reference in references])
            scores["chrf"] = min(1.0, self._chrf._aggregate_and_compute([own]).score / 100)
            counts["chrf"] = tuple(own)
        return Measured(scores, counts)

    def sources(self, references: int = 1) -> dict[str, str]:
        """What computes each metric, and how: the line that belongs beside its number."""
        squad = "SQuAD rules (lower case, no ASCII punctuation, no articles), best reference"
        stemmed = "Porter stems" if self.options.use_stemmer else "no stemmer"
        found = {"exact_match": squad, "f1": f"{squad}, bag of words"}
        if "rouge" in self.options.metrics:
            found["rouge"] = f"rouge-score {version('rouge-score')}, F-measure, {stemmed}"
        if "bleu" in self.options.metrics:
            # Of one sentence the orders that it is too short for are left out; a corpus has no such sentence.
            found["bleu"] = _signature(self._bleu, references).replace("eff:yes", "eff:no")
        if "chrf" in self.options.metrics:
            found["chrf"] = _signature(self._chrf, references)
        return {name: text for name, text in found.items() if name in self.options.metrics}

    def _rouge_scores(self, text: str, references: Sequence[str]) -> dict[str, float]:
        """Of each type the best reference by F-measure, as rouge-score's `score_multi` takes it."""
        best: dict[str, float] = {}
        plain = [name for name in self.options.rouge_types if name != "rougeL"]
        for reference in references:
            found = {name: score.fmeasure for name, score in self._rouge.score(reference, text).items()} if plain else {}
            if "rougeL" in self.options.rouge_types:
                found["rougeL"] = self._rouge_l(text, reference)
            best = {name: max(value, best.get(name, 0.0)) for name, value in found.items()}
        return {name: best[name] for name in self.options.rouge_types}

    def _rouge_l(self, text: str, reference: str) -> float:
        """The library's table has a cell for every pair of words, which two long texts do not fit into memory."""
        words, wanted = self._tokenizer.tokenize(text), self._tokenizer.tokenize(reference)
        common = longest_common_subsequence(words, wanted)
        return 2 * common / (len(words) + len(wanted)) if common else 0.0

    @functools.cached_property
    def _tokenizer(self) -> _Words:
        stem: Callable[[str], str] = str
        if self.options.use_stemmer:
            from nltk.stem.porter import PorterStemmer

            stem = PorterStemmer().stem
        return _Words(stem)

    @functools.cached_property
    def _rouge(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        plain = [name for name in self.options.rouge_types if name != "rougeL"]
        return RougeScorer(plain, tokenizer=self._tokenizer)

    @functools.cached_property
    def _bleu(self) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(effective_order=True)

    @functools.cached_property
    def _chrf(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF()


def _signature(metric: Any, references: int) -> str:
    """sacrebleu gives it once something was scored."""
    metric.corpus_score(["a"], [["a"]] * references)
    return f"sacrebleu {metric.get_signature()}"


class _Words:
    """rouge-score's tokenizer with stems remembered: stemming is most of its time."""

    def __init__(self, stem: Callable[[str], str]) -> None:
        self._stem = functools.lru_cache(maxsize=100_000)(stem)

    def tokenize(self, text: str) -> list[str]:
        words = _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()
        return [self._stem(word) if len(word) >= _SHORTEST_STEMMED else word for word in words]


def normalised(text: str) -> str:
    """SQuAD's `normalize_answer`; the order of its steps matters."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(text: str, reference: str) -> float:
    return float(normalised(text) == normalised(reference))


def token_f1(text: str, reference: str) -> float:
    """The F1 of two bags of words; two empty ones are equal, one empty one has nothing of the other."""
    words, wanted = normalised(text).split(), normalised(reference).split()
    if not words or not wanted:
        return float(words == wanted)
    common = sum((collections.Counter(words) & collections.Counter(wanted)).values())
    return 2 * common / (len(words) + len(wanted))


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Its length, a row of the table at a time as the bits of one integer (Hyyrö 2004, "Bit-parallel LCS-length
    computation revisited"): 100,000 words against 1,000 take a fraction of a second."""
    if len(a) < len(b):
        a, b = b, a
    places: dict[str, int] = {}
    for at, word in enumerate(b):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(b)) - 1
    row = full
    for word in a:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(b) - row.bit_count()
