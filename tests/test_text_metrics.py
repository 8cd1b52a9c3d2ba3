"""The Evaluator's aggregates are the libraries', and nothing about a pair depends on the others."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns_eval.errors import DataError, NsError, UsageError
from summarize.text import Evaluator
from summarize.text_paired import corpus_bleu
from summarize.text_results import Evaluation
from tests.paths import SHARED, needs_shared

DATA = SHARED / "data"
ALL = ["rouge", "bleu", "chrf", "exact_match", "f1"]
TEXTS = [
    "Bonds fall when rates rise.",
    "Keep six months of cash.",
    "A call is a right to buy.",
    "Shares may pay a dividend.",
]
WANTED = [
    "Prices of bonds fall if rates rise.",
    "Keep cash for six months.",
    "A call is a right to buy.",
    "Some pay dividends.",
]


def pairs(file: str) -> tuple[list[str], list[str]]:
    rows = [json.loads(line) for line in (DATA / "text_metrics" / f"{file}.jsonl").read_text().splitlines()]
    return [row["prediction"] for row in rows], [row["reference"] for row in rows]


@needs_shared
@pytest.mark.parametrize("stemmed", [True, False])
def test_aggregates_of_real_pairs_are_those_of_the_libraries(stemmed: bool) -> None:
    wanted = json.loads((DATA / "EXPECTED.json").read_text())["text_metrics/pubmedqa_pairs.jsonl"]
    found = Evaluator(ALL, use_stemmer=stemmed).evaluate(*pairs("pubmedqa_pairs"))
    assert found["bleu"].value == pytest.approx(wanted["corpus_bleu"], abs=1e-9)
    assert found["chrf"].value == pytest.approx(wanted["corpus_chrf"], abs=1e-9)
    assert found["f1"].value == pytest.approx(wanted["mean_f1"], abs=1e-9)
    for kind in ("rouge1", "rouge2", "rougeL"):
        name = f"mean_{kind}_{'stem' if stemmed else 'nostem'}_fmeasure"
        assert found[kind].value == pytest.approx(wanted[name], abs=1e-9)
    assert "tok:13a" in found["bleu"].source and "smooth:exp" in found["bleu"].source


def test_corpus_bleu_of_summed_counts_is_sacrebleus_whatever_the_counts() -> None:
    from sacrebleu.metrics.bleu import BLEU

    draw = np.random.default_rng(0)
    for _ in range(500):
        total = np.maximum(0, draw.integers(0, 12) - np.arange(4))
        right = np.minimum.accumulate([int(draw.integers(0, count + 1)) for count in total])
        length, wanted = int(total[0]), int(draw.integers(0, 12))
        theirs = BLEU.compute_bleu(list(right), list(total), length, wanted, smooth_method="exp").score
        ours = corpus_bleu(np.array([[length, wanted, *right, *total]], dtype=np.float64))[0]
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_order_of_pairs_changes_nothing() -> None:
    order = random.Random(0).sample(range(len(TEXTS)), len(TEXTS))
    evaluator = Evaluator(ALL)
    first = evaluator.evaluate(TEXTS, WANTED)
    second = evaluator.evaluate([TEXTS[at] for at in order], [WANTED[at] for at in order])
    for name, found in first.metrics.items():
        assert second[name].value == pytest.approx(found.value, abs=1e-12), name


def test_the_reference_itself_has_the_maximum_of_every_metric() -> None:
    found = Evaluator(ALL).evaluate(WANTED, WANTED)
    assert {name: found[name].value for name in ("exact_match", "f1", "rouge1", "rougeL")} == dict.fromkeys(
        ("exact_match", "f1", "rouge1", "rougeL"), 1.0
    )
    assert found["bleu"].value == pytest.approx(100) and found["chrf"].value == pytest.approx(100)


def test_many_pairs_are_measured_in_processes_to_the_same_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    few = Evaluator(["f1", "exact_match"]).evaluate(TEXTS, WANTED)
    many = Evaluator(["f1", "exact_match"]).evaluate(TEXTS * 600, WANTED * 600)
    assert many.column("f1").tolist() == few.column("f1").tolist() * 600
    assert "of 2,400 pairs" in caplog.text


def test_lengths_and_speed_stand_beside_the_metrics() -> None:
    found = Evaluator(["f1"]).evaluate(TEXTS, WANTED, seconds=[1.0, 2.0, 4.0, 1.0], tokens=[10, 20, 30, 10])
    assert (found.profile["words"].mean, found.profile["tokens_per_second"].median) == (5.5, 10.0)


def test_perplexity_pools_tokens_not_texts() -> None:
    logprobs = [[-1.0], [-3.0, -3.0, -3.0], [-2.0], [-2.0]]
    found = Evaluator(["perplexity"]).evaluate(TEXTS, WANTED, reference_logprobs=logprobs)
    assert found["perplexity"].value == pytest.approx(np.exp(14 / 6))
    assert found["perplexity"].higher_is_better is False


def test_an_evaluation_survives_its_file(tmp_path: Path) -> None:
    found = Evaluator(ALL).evaluate(TEXTS, WANTED)
    found.to_json(tmp_path / "base.json")
    back = Evaluation.from_json(tmp_path / "base.json")
    assert back == found
    assert list(back.to_pandas()["rougeL"]) == found.column("rougeL").tolist()
    assert "<table>" in back._repr_html_() and "rougeL" in repr(back)


def test_empty_references_are_left_out_and_counted() -> None:
    found = Evaluator(["f1"]).evaluate(["a", "b", "c d"], ["a", " ", ["", "c d"]])
    assert (len(found), found.left_out, found["f1"].value) == (2, 1, 1.0)
    assert "left out: 1 pair with an empty reference" in repr(found)


def test_one_pair_has_a_value_and_no_error() -> None:
    found = Evaluator(ALL).evaluate(["a b c d"], ["a b c e"])
    assert (found["f1"].low, found["bleu"].high, found["f1"].sd) == (None, None, None)


def test_other_languages_and_emoji_are_scored_and_rouge_says_what_it_reads() -> None:
    found = Evaluator(ALL).evaluate(
        ["利率上升会压低债券价格", "🙂 Gewinn für alle"], ["利率上升会压低债券价格", "🙂 Gewinn für alle"]
    )
    assert found["exact_match"].value == 1.0 and found["chrf"].value == pytest.approx(100)
    assert found.column("rouge1").tolist() == [0.0, 1.0]  # rouge-score drops what is not a-z0-9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"predictions": ["a"], "references": ["a", "b"]}, "1 predictions and 2 references"),
        ({"predictions": ["a", None], "references": ["a", "b"]}, r"predictions\[1\] is None"),
        ({"predictions": ["a"], "references": [None]}, r"references\[0\] is None"),
        ({"predictions": [], "references": []}, "no predictions"),
        ({"predictions": "a", "references": ["a"]}, "expected a list of texts"),
        ({"predictions": ["a"], "references": [""]}, "references are empty"),
        ({"predictions": ["a"], "references": ["a"], "tokens": [1, 2]}, "1 predictions and 2 tokens"),
    ],
)
def test_bad_pairs_are_refused_by_name(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(NsError, match=said):
        Evaluator(["f1"]).evaluate(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"metrics": ["rogue"]}, "unknown metric `rogue`, did you mean `rouge`"),
        ({"metrics": []}, "none is named"),
        ({"metrics": ["rouge"], "rouge_types": ["rougel"]}, "unknown type `rougel`"),
        ({"metrics": ["perplexity"]}, "needs the log-probabilities"),
    ],
)
def test_a_wrong_evaluator_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Evaluator(**arguments).evaluate(["a"], ["a"])


def test_base_and_peft_on_other_questions_or_settings_are_refused() -> None:
    evaluator = Evaluator(["f1"])
    base = evaluator.evaluate(TEXTS, WANTED)
    with pytest.raises(DataError, match="question `0` is another one"):
        evaluator.compare(base, evaluator.evaluate(TEXTS, WANTED[::-1]))
    with pytest.raises(DataError, match="4 and 3"):
        evaluator.compare(base, evaluator.evaluate(TEXTS[:3], WANTED[:3]))
    with pytest.raises(DataError, match="`use_stemmer` is True for the base and False for PEFT"):
        evaluator.compare(base, Evaluator(["f1"], use_stemmer=False).evaluate(TEXTS, WANTED))


def test_a_gain_is_improved_and_the_same_texts_are_no_difference() -> None:
    draw = random.Random(2)
    wanted = [" ".join(draw.choices("rates bonds cash risk tax fund share debt gold yield".split(), k=8)) for _ in range(60)]  # noqa: SIM905
    worse = [" ".join(text.split()[:4]) for text in wanted]
    evaluator = Evaluator(["rouge", "bleu", "f1"], primary="f1")
    base, peft = evaluator.evaluate(worse, wanted), evaluator.evaluate(wanted, wanted)
    found = evaluator.compare(base, peft)
    assert {change.verdict for change in found.changes} == {"improved"}
    assert found["f1"].primary and found["f1"].wins == 60 and found.length_ratio == 2.0
    assert found["bleu"].delta == pytest.approx(peft["bleu"].value - base["bleu"].value)
    assert {change.verdict for change in evaluator.compare(peft, base).changes} == {"worse"}
    same = evaluator.compare(peft, peft)
    assert {(change.verdict, change.p_holm) for change in same.changes} == {("no difference found", 1.0)}
    assert "60 of 60 answers are the same text" in repr(same)


def test_lower_perplexity_is_better() -> None:
    evaluator = Evaluator(["perplexity"])
    many = ["text"] * 20
    base, peft = (evaluator.evaluate(many, many, reference_logprobs=[[level]] * 20) for level in (-2.0, -1.5))
    change = evaluator.compare(base, peft).changes[0]
    assert (change.verdict, change.wins, change.delta < 0) == ("improved", 20, True)
