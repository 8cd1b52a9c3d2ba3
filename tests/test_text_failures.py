"""Failures of answers are found as data, and good answers have none."""

from __future__ import annotations

from summarize.text import Evaluator
from summarize.text_failures import failures

GOOD = "A bond pays a fixed coupon, so its price falls when new bonds pay more than the old one does."


def test_each_kind_of_failure_names_its_answers() -> None:
    answers = {
        "good": GOOD,
        "refusal": "I'm sorry, but as an AI I cannot say why a bond pays a fixed coupon or its price falls.",
        "loop": "the price falls when " * 40,
        "topic": "Bananas ripen faster beside apples, wherever anybody keeps them through cold winter months outside.",
        "short": "Its price falls.",
        "empty": " ",
        "cut": GOOD,
    }
    evaluation = Evaluator(["f1"]).evaluate(list(answers.values()), [GOOD] * len(answers), ids=list(answers))
    found = failures(evaluation, truncated=[name == "cut" for name in answers])
    assert found["refusal"] == ("refusal",)
    assert found["loop"] == ("loop",) and "loop" in found["too long"]
    assert found["off topic"] == ("loop", "topic")
    assert found["too short"] == ("short",)
    assert (found["empty"], found["truncated"]) == (("empty",), ("cut",))
    assert not any("good" in names for names in found.values())
