"""How a multiple choice is scored: the letter is generated, or the options are compared by their log-probabilities."""

from __future__ import annotations

import dataclasses
import logging

from ns_eval import prompts
from ns_eval.config import BenchmarkConfig, TemplateConfig
from ns_eval.errors import UsageError
from ns_eval.options import EvalConfig
from ns_eval.resources import conf_file
from ns_eval.runs import BenchmarkRun
from ns_eval.schema import load_yaml

logger = logging.getLogger(__name__)


def way_of(config: EvalConfig, benchmark: BenchmarkConfig) -> str:
    """What of the options is compared by log-probability; empty where the answer is generated, which is said.

    Raises:
        UsageError: a way of scoring that is none.
    """
    if config.scoring not in ("generate", "likelihood"):
        raise UsageError(f"++scoring={config.scoring}: expected generate or likelihood")
    if config.scoring == "generate":
        return ""
    if not benchmark.likelihood:
        logger.warning("%s is no multiple choice: its answers are generated", benchmark.name)
    elif not config.server.prompt_logprobs:
        name = config.server_type or "the server"
        logger.warning("%s gives no log-probabilities of a prompt: the letters of %s are generated", name, benchmark.name)
        return ""
    return benchmark.likelihood


def by_likelihood(run: BenchmarkRun, way: str) -> BenchmarkRun:
    """The run without generation: asked once, as plain text, and graded by what the log-probabilities say."""
    prompt = dataclasses.replace(prompts.load(f"likelihood/{way}"), template=TemplateConfig())
    judge = load_yaml(conf_file("judge", "likelihood"))
    compared = "letter" if way == "letter" else "text"
    return dataclasses.replace(run, likelihood=compared, seeds=(None,), prompt=prompt, judge=judge, code=None)
