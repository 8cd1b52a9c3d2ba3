"""The last step of the ladder: what our reader cannot read goes to math-verify, in a process that may be killed."""

from __future__ import annotations

import functools
import os
import re
import threading
from typing import Any

from judges.maths.readings import Reading
from judges.maths.values import Decision
from ns_eval.pool.targets import instantiate
from ns_eval.pool.workers import CallFailed, Limits, Pool

MATH_VERIFY = "judges.maths.heavy.MathVerify"
NEMO_SKILLS = "judges.maths.nemo_skills.NemoSkills"
_LONGEST = 400
# What makes sympy hang more often than not: long numerals, towers of powers, large exponents, factorials.
_HUGE = re.compile(r"\d{7}|\d\s*\^\s*(?:\{\s*)?-?\d{2,}|\^[^ ]*\^[^ ]*\^|\d\s*\^\s*\{?\s*[6-9]|!")


_MEANT_FOR_SYMPY = re.compile(
    r"`\\(?:sum|prod|i*nt|oint|lim|limsup|liminf|partial|nabla|bmod|pmod|mod|equiv|perp|parallel|mid|subset|forall|d)[A-Za-z]*`"
    r"|the environment (?:cases|aligned|align\*?|gathered|split|equation)"
)


class LastStep:
    """Calls `compare` of a class that may hang: on the spot in a worker, which is what is killed; elsewhere in a pool."""

    def __init__(self, target: str, *, here: bool = False) -> None:
        self._target = target
        self._here: Any = None  # the object of that class, which this module knows by name only
        if here:
            self._here = instantiate({"_target_": target})
            self._here.warm()
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._pid = 0

    def __call__(self, gold: str, given: str, reason: str) -> Decision:
        """(verdict, step); `reason` is why the cheaper steps gave up."""
        try:
            verdict = self._run(gold, given)
        except CallFailed as failure:
            return None, f"unparsed: sympy {failure}"
        return verdict, "math-verify" if verdict is not None else f"unparsed: {reason}"

    def _run(self, gold: str, given: str) -> bool | None:
        if self._here is not None:
            found: bool | None = self._here.compare(gold, given)
            return found
        with self._lock:
            if self._pool is None or self._pid != os.getpid():  # a forked child has no thread of its parent
                self._pool = Pool({"_target_": self._target}, "compare", Limits(workers=1))
                self._pid = os.getpid()
        verdict: bool | None = self._pool.submit(gold, given).result()
        return verdict


@functools.cache
def shared(target: str) -> LastStep:
    """The one pool of this process for a target; its processes start when the first case needs them."""
    return LastStep(target)


def is_fit(gold: Reading, given: Reading) -> bool:
    """Whether what stopped our reader is a command it does not know (a sum, an integral, a limit), and nothing is huge."""
    problems = [reading.problem for reading in (gold, given) if reading.node is None]
    if given.words or not problems or not all(_MEANT_FOR_SYMPY.match(problem) for problem in problems):
        return False
    return all(len(text) <= _LONGEST and not _HUGE.search(text) for text in (gold.normal, given.normal))
