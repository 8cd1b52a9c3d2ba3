"""Which answers of a question are one answer: asked of the judge that graded them, in a process with a time limit."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml
from ns_eval.scores import Same

if TYPE_CHECKING:
    from ns_eval.pool.workers import Pool

_log = logging.getLogger(__name__)
# Two canonical answers of this form are equal only where they are the same text: no judge needs to be started for them.
_PLAIN = re.compile(r"-?(?:0|[1-9]\d*)|[A-Za-z]")


class _Asked(msgspec.Struct):
    judge: dict[str, Any] = msgspec.field(default_factory=dict)


@contextlib.contextmanager
def judged_equality(folder: Path) -> Iterator[Same]:
    """`same` of the judge that expected.json names, else of conf/judge/symbolic.yaml. Starts a process when first needed."""
    pools: list[Pool] = []

    def same(a: str, b: str) -> bool:
        if a == b or (_PLAIN.fullmatch(a) and _PLAIN.fullmatch(b)):
            return a == b
        # Imported here: a summary of a table that is there starts no process.
        from ns_eval.pool.workers import CallFailed, Limits, Pool

        if not pools:
            pools.append(Pool(_spec(folder), "same", Limits(workers=1)))
        try:
            return bool(pools[0].submit(a, b).result())
        except CallFailed as failure:
            _log.info("%s: %.40s and %.40s count as two answers: %s", folder, a, b, failure)
            return False

    try:
        yield same
    finally:
        for pool in pools:
            pool.close()


def _spec(folder: Path) -> Mapping[str, Any]:
    path = folder / "expected.json"
    if path.exists():
        with contextlib.suppress(msgspec.DecodeError):
            asked = msgspec.json.decode(path.read_bytes(), type=_Asked).judge
            if asked:
                return asked
    return load_yaml(conf_file("judge", "symbolic"))
