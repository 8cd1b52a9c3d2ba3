"""The metrics of an installed nemo-evaluator stand beside ours under its name, and are its own scorers' values."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from summarize.text import Evaluator

TEXTS = ["Bonds fall when rates rise.", "Keep six months of cash.", "a call is a right to buy.", ""]
WANTED = [
    ["Prices of bonds fall.", "Bonds fall."],
    ["Keep cash for six months."],
    ["A call is a right to buy."],
    ["x"],
]
BOTH = pytest.mark.skipif(find_spec("nemo_evaluator") is None, reason="nemo-evaluator is not installed: NOT TESTED")
THEIRS = """
import json, sys
from nemo_evaluator.contrib.byob import scorers
from nemo_evaluator.contrib.byob.decorators import ScorerInput
asked = json.loads(sys.argv[1])
names = ("f1_token", "bleu", "rouge", "chrf", "exact_match")
def values(text, one):
    return [getattr(scorers, name)(ScorerInput(text, one, {})) for name in names]
found = [[values(text, one) for one in listed] for text, listed in asked]
print(json.dumps(found))
"""


@BOTH
def test_every_value_is_that_of_its_scorer() -> None:
    found = Evaluator(["f1", "nemo_evaluator"]).evaluate(TEXTS, WANTED)
    asked = json.dumps(list(zip(TEXTS, WANTED, strict=True)))
    told = subprocess.run([sys.executable, "-c", THEIRS, asked], capture_output=True, text=True, check=True).stdout
    taken = {"f1": (0, "f1"), "bleu_4": (1, "bleu_4"), "rouge_l": (2, "rouge_l"), "chrf": (3, "chrf")}
    for ours, (scorer, theirs) in {**taken, "exact_match": (4, "correct")}.items():
        wanted = [max(float(one[scorer][theirs]) for one in listed) for listed in json.loads(told)]
        assert found.column(f"nemo_evaluator:{ours}").tolist() == pytest.approx(wanted, abs=1e-12), ours
    # It cuts at blanks and keeps points: "buy." is no "buy".
    assert found["f1"].value > found["nemo_evaluator:f1"].value
    source = found["nemo_evaluator:rouge_l"].source
    assert source.startswith("nemo-evaluator ") and source.endswith("contrib.byob.scorers.rouge")


@BOTH
def test_both_are_compared_and_named_apart() -> None:
    evaluator = Evaluator(["f1", "nemo_evaluator"])
    found = evaluator.compare(evaluator.evaluate(TEXTS, WANTED), evaluator.evaluate([one[0] for one in WANTED], WANTED))
    names = [change.metric for change in found.changes]
    assert names[0] == "f1" and found["f1"].primary
    assert {"nemo_evaluator:f1", "nemo_evaluator:bleu_4", "nemo_evaluator:chrf"} < set(names)
    assert "nemo_evaluator:bleu_1" not in names, "a part of another number is shown, not tested"
