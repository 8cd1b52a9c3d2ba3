"""The printed reliability of real judges equals what an independent computation finds."""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.inter_rater import cohens_kappa

from summarize.families import families
from summarize.judged import Judged
from summarize.references import agreement
from summarize.reliability import disagreements, reliability
from summarize.reliability_text import describe, describe_agreement, describe_disagreements
from tests.paths import SHARED, needs_shared

OUTPUTS = SHARED / "data" / "judge_outputs"


def xstest() -> list[dict[str, str]]:
    path = OUTPUTS / "xstest_gpt4_labels" / "xstest_v2_completions_gpt4_gpteval.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exact_kappa(pairs: Iterable[tuple[str, str]]) -> Fraction:
    """Cohen's kappa from its definition, in rational numbers."""
    counts = Counter(pairs)
    n = sum(counts.values())
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (one, other), count in counts.items():
        first[one] += count
        second[other] += count
    observed = Fraction(sum(count for (one, other), count in counts.items() if one == other), n)
    expected = sum(Fraction(first[name] * second[name], n * n) for name in {*first, *second})
    return (observed - expected) / (1 - expected)


@needs_shared
def test_gpt4_on_xstest_agrees_with_its_human_labels_on_421_of_450() -> None:
    rows = xstest()
    judge, human = [row["gpt4_label"] for row in rows], [row["final_label"] for row in rows]
    found = agreement("human labels", [row["id"] for row in rows], judge, human)
    assert (found.agreed, found.n) == (421, 450)
    expected = float(exact_kappa(zip(judge, human, strict=True)))
    assert found.kappa == pytest.approx(expected, abs=1e-12)
    n, both = 450, Counter(judge) + Counter(human)
    chance = sum(Fraction(count, 2 * n) * (1 - Fraction(count, 2 * n)) for count in both.values()) / 2
    assert found.ac1 == pytest.approx(float((Fraction(421, 450) - chance) / (1 - chance)), abs=1e-12)
    assert describe_agreement(found)[0].startswith(
        f"against human labels: agreement 93.56% (421 of 450), kappa {expected:.3f} ("
    )


@needs_shared
def test_the_interval_of_kappa_is_close_to_the_large_sample_one() -> None:
    rows = xstest()
    judge, human = ([row[name] == "1_full_compliance" for row in rows] for name in ("gpt4_label", "final_label"))
    found = agreement("label", [row["id"] for row in rows], judge, human)
    assert found.confusion is not None and found.kappa_interval is not None
    theirs = cohens_kappa(found.confusion.table)
    assert found.kappa == pytest.approx(theirs.kappa, abs=1e-12)
    assert found.kappa_interval == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.01)


def compliance(labelled: int) -> list[Judged]:
    """XSTest as right and wrong, with the human label of `labelled` completions drawn at random."""
    drawn = random.Random(0).sample(xstest(), 450)
    return [
        Judged(
            row["id"],
            None,
            float(row["gpt4_label"] == "1_full_compliance"),
            label=float(row["final_label"] == "1_full_compliance") if number < labelled else None,
            length=len(row["completion"]),
            model="gpt-4",
        )
        for number, row in enumerate(drawn)
    ]


@needs_shared
def test_corrected_scores_follow_their_formulas_and_hold_the_human_score() -> None:
    rows = compliance(200)
    found = {item.method: item for item in reliability(rows, model="gpt-4-turbo").corrected}
    marked, others = rows[:200], rows[200:]
    right = [row for row in marked if row.label == 1.0]
    wrong = [row for row in marked if row.label == 0.0]
    q1 = sum(row.value == 1.0 for row in right) / len(right)
    q0 = sum(row.value == 0.0 for row in wrong) / len(wrong)
    rate = sum(row.value or 0.0 for row in rows) / 450
    theta = (rate + q0 - 1) / (q1 + q0 - 1)
    variance = (
        rate * (1 - rate) / 450 + theta**2 * q1 * (1 - q1) / len(right) + (1 - theta) ** 2 * q0 * (1 - q0) / len(wrong)
    )
    rogan = found["rogan-gladen"]
    assert (rogan.score, rogan.se) == pytest.approx((theta, math.sqrt(variance) / (q1 + q0 - 1)), abs=1e-12)
    gaps = np.array([(row.label or 0.0) - (row.value or 0.0) for row in marked])
    values = np.array([row.value for row in others])
    powered = found["prediction-powered"]
    assert powered.score == pytest.approx(values.mean() + gaps.mean(), abs=1e-12)
    assert powered.se == pytest.approx(math.sqrt(values.var(ddof=1) / 250 + gaps.var(ddof=1) / 200), abs=1e-12)
    human = sum(row["final_label"] == "1_full_compliance" for row in xstest()) / 450
    assert all(item.interval[0] < human < item.interval[1] for item in found.values())
    text = "\n".join(describe(reliability(rows)))
    assert f"corrected by 200 labels (rogan-gladen): {theta:.4f} ± {rogan.se:.4f}" in text


@needs_shared
def test_fewer_than_fifty_labels_correct_nothing() -> None:
    assert reliability(compliance(49)).corrected == ()
    assert len(reliability(compliance(50)).corrected) >= 1


@needs_shared
def test_what_contradicts_a_label_is_listed_for_a_reader() -> None:
    rows = compliance(450)
    found = disagreements(rows)
    assert len(found) == 28  # 421 agree on three labels, and one refusal was called a partial one
    text = describe_disagreements(found, most=3)
    assert f"{found[0].question} seed greedy: judge {found[0].value:g}, label" in text
    assert text.endswith("... and 25 more samples")


def prometheus() -> list[dict[str, list[int]]]:
    rows: list[dict[str, list[int]]] = json.loads((OUTPUTS / "prometheus_rubric_gpt4_n3" / "vicuna_eval.json").read_text())
    return rows


@needs_shared
def test_three_scores_each_of_prometheus_give_its_flips_and_alpha() -> None:
    rows = [
        Judged(str(number), 0, float(row["gpt4_score"][0]), repeats=tuple(map(float, row["gpt4_score"])), key=str(number))
        for number, row in enumerate(prometheus())
    ]
    found = reliability(rows, scale=(1, 5)).flips
    assert found is not None
    assert (found.calls, found.flipped) == (320, 320 - 199)
    assert found.alpha == pytest.approx(ordinal_alpha([row["gpt4_score"] for row in prometheus()]), abs=1e-12)
    assert any(line.startswith("asked again, 121 of 320 calls changed: 37.81%") for line in describe(reliability(rows)))


def ordinal_alpha(units: list[list[int]]) -> float:
    """Krippendorff's alpha by counting pairs, as the definition reads: no coincidence matrix."""
    values = [value for unit in units for value in unit]
    total = Counter(values)

    def distance(one: int, other: int) -> float:
        low, high = min(one, other), max(one, other)
        between = sum(total[value] for value in range(low, high + 1))
        return (between - (total[low] + total[high]) / 2) ** 2

    n = len(values)
    observed = sum(sum(distance(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units) / n
    expected = sum(distance(a, b) * total[a] * total[b] for a in total for b in total) / (n * (n - 1))
    return 1 - observed / expected


@needs_shared
def test_mt_bench_counts_its_four_failed_judgements_as_missing() -> None:
    path = OUTPUTS / "mt_bench_gpt4_single" / "gpt-4_single-origin.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [
        Judged(
            f"{line['question_id']}-{line['turn']}-{line['model']}-{line['tstamp']}-{number}",
            None,
            None if line["score"] == -1 else float(line["score"]),
            status="ok" if line["score"] != -1 else "error",
            length=len(line["user_prompt"]),
            model="gpt-4",
        )
        for number, line in enumerate(lines)
    ]
    found = reliability(rows, scale=(1, 10), model=lines[0]["model"])
    assert (found.samples, found.missing, found.reasons) == (330, 4, {"error": 4})
    assert found.score == pytest.approx(5.319018404907975, abs=1e-12)
    total = sum(row.value or 0 for row in rows)
    assert found.bounds == pytest.approx(((total + 4) / 330, (total + 40) / 330))
    assert found.headline
    assert not [text for text in found.warnings if "family" in text]


@needs_shared
def test_the_slope_on_answer_length_is_that_of_a_regression_with_question_effects() -> None:
    """Four systems answered each Vicuna question: their scores on their lengths, against statsmodels with dummies."""
    scores, lengths, questions = [], [], []
    for row in json.loads((OUTPUTS / "prometheus_rubric_gpt4_n3" / "vicuna_eval.json").read_text()):
        body = row["instruction"].partition("###The instruction to evaluate:\n")[2]
        question, _, rest = body.partition("\n\n###Response to evaluate:\n")
        answer = rest.partition("\n\n###Reference Answer")[0]
        scores.append(float(np.mean(row["gpt4_score"])))
        lengths.append(len(answer))
        questions.append(question)
    names = sorted(set(questions))
    dummies = np.array([[float(question == name) for name in names] for question in questions])
    design = np.column_stack([np.log2(lengths), dummies])
    groups = np.array([names.index(question) for question in questions])
    fit = sm.OLS(np.array(scores), design).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    rows = [
        Judged(question, number, score, length=length)
        for number, (question, score, length) in enumerate(zip(questions, scores, lengths, strict=True))
    ]
    found = reliability(rows, scale=(1, 5)).length
    assert found is not None and found.questions == len(names)
    assert found.per_doubling == pytest.approx(fit.params[0], abs=1e-9)
    g = len(names)
    assert found.se == pytest.approx(fit.bse[0] * math.sqrt(g / (g - 1)), rel=1e-9)
    assert found.interval[0] < found.per_doubling < found.interval[1]


@needs_shared
def test_arena_pairs_are_counted_as_they_were_judged() -> None:
    # Both orders read by hand; a missing verdict is no pair.
    read = [(2, -1), (2, -2), (-2, 2), None, None, *[(-2, 2)] * 4, (-2, 1)]
    rows = []
    for number, pair in enumerate(read):
        scores = {}
        if pair is not None:
            signs = (np.sign(pair[0]), -np.sign(pair[1]))
            scores = {
                "win": {(1, 1): 1.0, (-1, -1): 0.0}.get((int(signs[0]), int(signs[1])), 0.5),
                "consistent": float(signs[0] == signs[1]),
                "prefers_first": float(signs[0] - signs[1]) / 2,
            }
        rows.append(Judged(str(number), 0, scores.get("win"), scores=scores, status="ok" if pair else "unparsed"))
    found = reliability(rows, scale=(0, 1))
    assert found.swap is not None and (found.swap.pairs, found.swap.consistent) == (8, 8)
    assert (found.missing, found.headline) == (2, False)
    assert found.score == pytest.approx(2 / 8)


def judged(values: Iterable[float | None], **changes: object) -> list[Judged]:
    return [Judged(**{"question": f"q{n}", "seed": 0, "value": value, **changes}) for n, value in enumerate(values)]  # type: ignore[arg-type]


def test_a_judge_that_always_says_the_same_is_flagged_and_kappa_stays_open() -> None:
    rows = judged([1.0] * 40, symbolic=True)
    found = reliability(rows)
    assert any("always gave the same verdict" in text for text in found.warnings)
    assert found.agreements[0].kappa is None and found.agreements[0].kappa_interval is None
    assert "not defined" in "\n".join(describe(found))


def test_missing_judgements_give_bounds_and_above_two_percent_no_headline() -> None:
    found = reliability(judged([1.0] * 60 + [0.0] * 37 + [None] * 3, status="unparsed"))
    assert found.bounds == (0.60, 0.63)
    assert not found.headline and "above 2%" in found.warnings[-1]
    assert "missing: 3 (3 unparsed); score 0.6000 to 0.6300" in "\n".join(describe(found))
    assert reliability(judged([1.0] * 98 + [None] * 2)).headline


def test_what_needed_no_call_does_not_flatter_the_judge() -> None:
    free = judged([1.0] * 100, source="symbolic", symbolic=True)
    asked = [Judged(f"a{n}", 0, float(n % 2), symbolic=n % 3 == 0) for n in range(30)]
    both, alone = reliability([*free, *asked]), reliability(asked)
    assert both.agreements == alone.agreements
    assert both.sources == {"symbolic": 100, "model": 30}


def test_samples_that_share_a_call_repeat_it_once() -> None:
    rows = [Judged("q", seed, 1.0, repeats=(1.0, 0.0), key="k") for seed in range(64)]
    found = reliability([*rows, Judged("r", 0, 1.0, repeats=(1.0, 1.0), key="l")]).flips
    assert found is not None and (found.calls, found.flipped) == (2, 1)


def test_judges_or_prompts_that_are_mixed_are_flagged() -> None:
    rows = [*judged([1.0], model="a", prompt_hash="1"), *judged([0.0], model="b", prompt_hash="1")]
    assert any("mixed" in text for text in reliability(rows).warnings)


@pytest.mark.parametrize(
    ("judge", "model", "same"),
    [
        ("Qwen2.5-32B-Instruct", "qwen3-1.7b", True),
        ("gpt-4o", "openai/gpt-5-mini", True),
        ("o3-mini", "gpt-4o", True),
        ("DeepSeek-R1-Distill-Qwen-7B", "Qwen2.5-7B", True),
        ("gemma-3-27b-it", "google/gemini-2.5-flash", True),
        ("gpt-4o", "Qwen2.5-32B-Instruct", False),
        ("llama-3.1-70b", "phi-4", False),
        ("tinymath", "tinymath", False),
    ],
)
def test_a_judge_of_the_model_s_own_family_is_flagged(judge: str, model: str, same: bool) -> None:
    assert bool(families(judge) & families(model)) is same
    found = reliability(judged([1.0, 0.0], model=judge), model=model)
    assert bool([text for text in found.warnings if "one family" in text]) is same


def test_several_samples_of_a_question_widen_the_interval() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    truth = [True, False, True, False, False, True, True, True, True, True]
    single = [
        Judged(f"q{n}-{k}", k, v, symbolic=t) for n, (v, t) in enumerate(zip(values, truth, strict=True)) for k in range(8)
    ]
    grouped = [
        Judged(f"q{n}", k, v, symbolic=t) for n, (v, t) in enumerate(zip(values, truth, strict=True)) for k in range(8)
    ]
    narrow, wide = (reliability(rows).agreements[0].ac1_interval for rows in (single, grouped))
    assert narrow is not None and wide is not None
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_ratings_are_compared_with_human_ratings() -> None:
    pairs = [(4, 4), (5, 4), (3, 3), (2, 4), (5, 5), (1, 2), (4, 4), (3, 4)]
    rows = [Judged(str(n), 0, float(one), label=float(other)) for n, (one, other) in enumerate(pairs)]
    found = reliability(rows, scale=(1, 5)).ratings
    assert found is not None
    assert (found.n, found.equal, found.within_one) == (8, 0.5, 0.875)
    table = np.zeros((5, 5))
    for one, other in pairs:
        table[one - 1, other - 1] += 1
    assert found.kappa == pytest.approx(cohens_kappa(table, wt="quadratic").kappa)


def test_nothing_at_all_is_said_of_no_samples() -> None:
    found = reliability([])
    assert (found.samples, found.score, found.agreements, found.warnings) == (0, None, (), ())
    assert describe(found)
