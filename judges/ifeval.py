"""Whether an answer follows the instructions of its prompt, by IFEval's own checks as lm-evaluation-harness keeps them.

Source: lm_eval/tasks/ifeval of lm-eval 0.4.13 on PyPI, which is google-research/instruction_following_eval (Apache-2.0).
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from judges.answers import Extraction, after_reasoning
from ns_eval.errors import DataError
from ns_eval.records import Generation, Question, Verdict

_PACKAGES = ("lm_eval", "langdetect", "immutabledict", "nltk")
_TOKENIZER = "punkt_tab"


class InstructionsJudge:
    """Right where every instruction is followed. Scores: `prompt_strict`, and `prompt_loose`, which forgives stars and a
    first or last line that is none of the answer.
    """

    name = "ifeval"
    version = "ifeval-1"
    timeout_s = 10.0

    def __init__(self, end_reasoning_string: str = "</think>") -> None:
        missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            raise DataError(f"IFEval's checks are not installed ({', '.join(missing)}): pip install 'ns-eval[ifeval]'")
        _require_tokenizer()
        self._rules = Extraction(end_reasoning_string)

    def warm(self) -> None:
        """Imports lm_eval, which takes seconds, before the workers are forked."""
        _checks()

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """What the checks say of the text behind the reasoning; an empty one follows nothing."""
        asked, given = question.meta.get("instruction_id_list"), question.meta.get("kwargs")
        if not asked or not isinstance(given, list) or len(given) != len(asked):
            return Verdict(self.name, None, error="`kwargs` are not one for each of its `instruction_id_list`")
        row = {"key": question.id, "prompt": question.problem, "instruction_id_list": asked, "kwargs": given}
        try:
            found = _checks()(row, [after_reasoning(generation.text, self._rules)])
        except KeyError as error:
            return Verdict(self.name, None, error=f"there is no check of the instruction {error}")
        strict, loose = bool(found["prompt_level_strict_acc"]), bool(found["prompt_level_loose_acc"])
        broken = [name for name, held in zip(asked, found["inst_level_strict_acc"], strict=True) if not held]
        return Verdict(
            self.name,
            strict,
            answer="followed" if strict else "not followed",
            scores={"prompt_strict": float(strict), "prompt_loose": float(loose)},
            comment=f"not followed: {', '.join(broken)}" if broken else "",
        )

    def same(self, a: str, b: str) -> bool:
        return a == b


def _require_tokenizer() -> None:
    """Two of the instructions count sentences and words by a model that nltk downloads; a run is not the time for it."""
    import nltk

    try:
        nltk.data.find(f"tokenizers/{_TOKENIZER}")
    except LookupError as error:
        raise DataError(
            f"IFEval's checks count sentences by nltk's {_TOKENIZER}, which is in none of its folders: "
            f"python -m nltk.downloader {_TOKENIZER}, where there is a network",
            hint=f"looked for in {', '.join(nltk.data.path)}; NLTK_DATA names another folder",
        ) from error


@functools.cache
def _checks() -> Callable[[Mapping[str, Any], list[str]], dict[str, Any]]:
    import langdetect
    from lm_eval.tasks.ifeval.utils import process_results

    # Else it guesses the language of short texts anew each time.
    langdetect.DetectorFactory.seed = 0
    found: Callable[[Mapping[str, Any], list[str]], dict[str, Any]] = process_results
    return found
