"""The checker decides every pair of the table, phenomenon by phenomenon, and canonical strings agree with it."""

from __future__ import annotations

import pytest

from judges.symbolic import SymbolicJudge, compare_answers, equal, find_answer
from tests.checker_cases import DIFFERENT, EQUAL


@pytest.mark.parametrize("phenomenon", EQUAL)
def test_equal_answers_are_equal(phenomenon: str) -> None:
    missed = [
        (gold, given, compare_answers(gold, given).step) for gold, given in EQUAL[phenomenon] if not equal(gold, given)
    ]
    assert missed == []


@pytest.mark.parametrize("phenomenon", DIFFERENT)
def test_different_answers_are_not_equal(phenomenon: str) -> None:
    taken = [(gold, given, compare_answers(gold, given).step) for gold, given in DIFFERENT[phenomenon] if equal(gold, given)]
    assert taken == []


@pytest.mark.parametrize("gold", sorted({gold for pairs in (*EQUAL.values(), *DIFFERENT.values()) for gold, _ in pairs}))
def test_every_gold_equals_itself(gold: str) -> None:
    assert equal(gold, gold) is True
    assert equal(gold, f"The answer is $\\boxed{{{gold}}}$.") is True


@pytest.mark.parametrize(
    "spellings",
    [
        ["1/2", "0.5", r"\frac{2}{4}", r"\dfrac12", "x = 0.5", r"\boxed{\frac{1}{2}}", ".50", r"\frac{-1}{-2}"],
        ["1000000", "1,000,000", r"1{,}000{,}000", "10^6", r"1.0\times10^{6}", "1e6", "$1,000,000"],
        ["2\\sqrt{3}", "sqrt(12)", "2√3", r"\frac{6}{\sqrt3}", "12^{1/2}"],
        ["3+4i", "4i+3", "3 + 4i."],
        [r"\{1,2,3\}", "3, 1, 2", "1, 2 and 3"],
        ["(1,2)", r"\left(1,\,2\right)", "(x,y) = (1,2)"],
        ["C", "(C)", r"\textbf{(C)}", "C.", "c"],
        ["Yes", r"\text{yes}", "**YES**"],
    ],
)
def test_equal_answers_get_one_canonical_string(spellings: list[str]) -> None:
    assert len({compare_answers(spellings[0], spelling).answer for spelling in spellings}) == 1


def test_same_groups_canonical_answers_that_have_no_common_form() -> None:
    judge = SymbolicJudge()
    one, other = (compare_answers(text, text).answer for text in (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"))
    assert one != other
    assert judge.same(one, other)
    assert not judge.same(one, compare_answers("x", r"1-\sqrt{2}").answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"first \boxed{1}, then \boxed{\frac{2}{3}}", r"\frac{2}{3}"),
        (r"\boxed 5", "5"),
        (r"$\fbox{7}$", "7"),
        ("cut off in \\boxed{12\nand more", "12"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\boxed{1}. Later in the text, after a check of it all, I found that it is \boxed{2}", "2"),
        ("Long story.\nThe final answer is $42$. I hope it is correct.", "$42$"),
        ("9 + 9 = 18\n#### 18", "18"),
        ("**Answer:** 7", "7"),
        (r"<think>maybe \boxed{3}</think> \boxed{4}", "4"),
        ("<think>it could be \\boxed{3}", None),
        ("I do not know.\nReally.", None),
        ('{"answer": "$\\\\boxed{\\\\frac{1}{2}}$"}', r"\frac{1}{2}"),
        ("so \x0crac is \\boxed{\x0crac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{}", None),
    ],
)
def test_the_answer_is_found(text: str, answer: str | None) -> None:
    assert find_answer(text, "1/2") == answer


def test_every_comparison_names_the_step_that_decided() -> None:
    steps = {
        ("7", "7"): "same text",
        ("7", "8"): "two integers",
        ("1/2", "0.5"): "exact form",
        ("2/3", "0.6666666666666666"): "rounding",
        ("(1,2)", "[1,2]"): "brackets",
        ("C", "(B)"): "choice letter",
        ("110_2", "110_3"): "digits in a base",
        ("x<2", r"(-\infty,2)"): "sets of real numbers",
        (r"\sin^2 x + \cos^2 x", "1"): "numeric evaluation",
        (r"\sum_{k=1}^{4} k", "10"): "math-verify",
        ("20", "It is about 20 or so, I think"): "unparsed: prose",
    }
    assert {pair: compare_answers(*pair).step for pair in steps} == steps
