"""Every switch of the symbolic judge turns what docs/checker.md says it turns, and a wrong value is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from judges.maths.options import SymbolicOptions
from judges.symbolic import SymbolicJudge, equal
from ns_eval.errors import UsageError
from ns_eval.records import Generation, Question
from tests.paths import REPO

# switch, value, gold, prediction, by default, with the switch
TURNS: list[tuple[str, Any, str, str, bool | None, bool | None]] = [
    ("extract_from_boxed", False, "5", r"\boxed{5}. The answer is 6", True, False),
    ("extract_regex", r"result: (\d+)", "5", "we look\nresult: 4, then\nresult: 5 it is", False, True),
    ("relaxed", False, "5", "The answer is 5", True, False),
    ("boxes", "last", "1, 2", r"\boxed{1} and \boxed{2}", True, False),
    ("end_reasoning_string", "[/THINK]", "5", r"\boxed{4} [/THINK] so the answer is 5", False, True),
    ("unfinished_reasoning", "text", "5", r"<think> it is \boxed{5}", False, True),
    ("percent", "value", "0.1", r"10\%", False, True),
    ("percent", "strict", "10", r"10\%", True, False),
    ("rounding", "exact", "0.333", r"\frac{1}{3}", True, False),
    ("list_order", "kept", "1, 2", "2, 1", True, False),
    ("interval", "different", r"(-\infty, 2)", "x < 2", True, False),
    ("missing_base", "refused", "110_2", "110", True, False),
    ("mixed_numbers", "product", r"\frac{3}{2}", r"3\frac{1}{2}", False, True),
    ("decimal_comma", True, "0.5", "0,5", False, True),
    ("units", "ignored", "5 cm", "5 km", False, True),
    ("units", "required", "5 cm", "5", True, False),
    ("text_case", "kept", "Even", "even", True, False),
    ("take_modulo", 7, "3", "10", False, True),
    ("heavy", False, "10", r"\sum_{k=1}^{4} k", True, None),
    ("compat", "nemo-skills", "40_9", "40_8", False, True),
]


@pytest.mark.parametrize(("switch", "value", "gold", "given", "before", "after"), TURNS)
def test_a_switch_turns_its_case(
    switch: str, value: object, gold: str, given: str, before: bool | None, after: bool | None
) -> None:
    assert equal(gold, given) is before
    assert equal(gold, given, SymbolicJudge(**{switch: value}).options) is after


def test_every_switch_has_its_case() -> None:
    assert {turn[0] for turn in TURNS} | {"unparsed"} == set(SymbolicOptions.__dataclass_fields__)


def test_an_unparsed_answer_is_wrong_unless_the_switch_leaves_it_unjudged() -> None:
    question, generation = Question("1", "?", "20"), Generation(r"\boxed{20 or so, it depends}")
    verdict = SymbolicJudge().grade(question, generation)
    assert verdict.correct is False
    assert (verdict.comment or "").startswith("unparsed")
    assert SymbolicJudge(unparsed="unjudged").grade(question, generation).correct is None


def test_the_yaml_states_the_defaults_of_the_code() -> None:
    values = yaml.safe_load((REPO / "conf/judge/symbolic.yaml").read_text(encoding="utf-8"))
    assert values.pop("_target_") == "judges.symbolic.SymbolicJudge"
    assert SymbolicJudge(**values).options == SymbolicOptions()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percnt": "value"}, "unknown key `percnt`, did you mean `percent`"),
        ({"percent": "yes"}, "`percent` must be one of 'sign', 'value', 'strict', found 'yes'"),
        ({"take_modulo": "many"}, "take_modulo"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SymbolicJudge(**options)
