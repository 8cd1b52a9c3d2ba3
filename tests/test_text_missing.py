"""A metric whose package is not there is one sentence and the command, in an interpreter that really has not got it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.paths import REPO

# Without `-S` the whole of site-packages would be found.
CODE = """
import sys
sys.path += sys.argv[1:3]
from ns_eval.errors import NsError
from summarize.text import Evaluator, reference_logprobs
try:
    reference_logprobs("m", ["a"], ["b"]) if sys.argv[3] == "perplexity" else Evaluator([sys.argv[3]])
except NsError as error:
    print(error)
"""
TEXT, MODELS = "pip install 'ns-eval[text]'", "pip install 'ns-eval[text-models]'"
WITHOUT = ("rouge_score", "sacrebleu", "nemo_evaluator", "sentence_transformers", "bert_score", "torch", "transformers")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this environment without those of the metrics."""
    home = tmp_path_factory.mktemp("packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.replace("-", "_").startswith(WITHOUT):
            (home / entry.name).symlink_to(entry)
    return home


@pytest.mark.parametrize(
    ("metric", "said", "hint"),
    [
        ("rouge", "the metric rouge needs rouge_score, which is not installed", TEXT),
        ("bleu", "the metric bleu needs sacrebleu, which is not installed", TEXT),
        ("chrf", "the metric chrf needs sacrebleu, which is not installed", TEXT),
        ("semantic_similarity", "by sbert needs sentence_transformers and torch, which are not installed", MODELS),
        ("bertscore", "by bertscore needs bert_score and torch, which are not installed", MODELS),
        ("perplexity", "log-probabilities need torch and transformers, which are not installed", MODELS),
        ("nemo_evaluator", "the metrics of nemo-evaluator need it, and it is", "pip install 'nemo-evaluator>=0.1.90'"),
    ],
)
def test_a_metric_whose_package_is_absent_names_the_command(packages: Path, metric: str, said: str, hint: str) -> None:
    command = [sys.executable, "-S", "-c", CODE, str(packages), str(REPO), metric]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout and done.stdout.endswith(f"hint: {hint}\n"), done.stdout


def test_what_needs_no_package_works_without_any(packages: Path) -> None:
    code = CODE.replace("Evaluator([sys.argv[3]])", "print(Evaluator([sys.argv[3]]).evaluate(['b c'], ['b d'])['f1'].value)")
    command = [sys.executable, "-S", "-c", code, str(packages), str(REPO), "f1"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "0.5\n"
