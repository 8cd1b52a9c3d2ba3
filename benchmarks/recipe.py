"""Runs the rubric recipe against simulated models and a judge, kills it at random moments, and counts what is there.

python -m benchmarks.recipe [--prompts 240] [--kills 6] [--seed 0] [--budget 0.3]

Nine models differ in ability, speed, limits and faults: seven simulated engines, a provider with upstream errors inside a
200, and the embedded engine with the shipped model. The judge's replies are partly no JSON, and one prompt it never rates.
First the recipe is killed -9 and then stopped by one budget for all models and the judge; with a larger one it is killed
again, then let run to its end. Good: when the budget is reached the servers have counted no more tokens than it pays for,
and what is not asked is recorded with that reason; at the end every prompt has one answer and one judgement of each model,
a rating or the reason why there is none; and the provider answered nothing again but what was in flight at a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns_eval.errors import BudgetError
from ns_eval.records import loads
from ns_eval.rundir import outputs
from tests.commands import start
from tests.peers.provider import Provider, provider
from tests.peers.simulated import Simulated, simulated

CRITERIA = ("correctness", "methodology", "specificity", "clarity", "hallucination_safety")
DOMAINS = ("physics", "biology", "chemistry", "medicine", "statistics")
BENCHMARK = "science-prompts"
RIDDLE = "(a riddle)"
_INCOMPLETE = 6
_BUDGET_REACHED = "budget of $"
_ENOUGH_USD = 100.0
_DOLLARS_A_MILLION = 1.0
_IN_FLIGHT = 16
_WITHIN_S = 900.0


@dataclass(frozen=True)
class Model:
    """`ability` from 1 to 5 stands in its answers, where the judge finds it; `options` are those of the simulated engine."""

    name: str
    ability: int
    limit: int = 2048
    options: tuple[str, ...] = ()


SIMULATED = (
    Model("able", 5, 2048, ("--us-per-token", "100")),
    Model("steady", 4, 4096, ("--us-per-token", "60")),
    Model("slow", 5, 2048, ("--us-per-token", "400", "--slots", "16")),
    Model("brief", 3, 512, ("--us-per-token", "100", "--median-tokens", "400")),
    Model("limited", 4, 2048, ("--us-per-token", "100", "--slots", "4", "--median-tokens", "300")),
    Model("faulty", 3, 2048, ("--us-per-token", "100", "--faults", "0.2", "--hang-s", "3")),
    Model("poor", 1, 2048, ("--us-per-token", "20")),
)


@dataclass
class Outcome:
    """What a whole play came to; `wrong` says in words what is not as it must be."""

    kills: int = 0
    answers: int = 0
    judgements: int = 0
    unrated: int = 0
    truncated: int = 0
    again: int = 0
    unasked: int = 0
    spent_usd: float = 0.0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.wrong


@dataclass(frozen=True)
class Play:
    """One folder with its prompts, models and servers."""

    folder: Path
    engines: Mapping[str, Simulated]
    hosted: Provider
    judge: Provider
    prompts: int

    @property
    def models(self) -> tuple[str, ...]:
        return (*self.engines, "hosted", "local")

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def billed_usd(self) -> float:
        """What the servers counted, at their own price."""
        engines = sum(engine.stats()["generated_tokens"] for engine in self.engines.values())
        return float(engines + self.hosted.tokens + self.judge.tokens) / 1e6 * _DOLLARS_A_MILLION

    def started(self, budget_usd: float) -> subprocess.Popen[str]:
        """`ns eval --recipe=scientific`, running."""
        searched = f"hydra.searchpath=[file://{self.folder / 'conf'}]"
        prices = [f"++{whose}price.{part}" for whose in ("", "judge.") for part in ("input", "output")]
        price = " ".join(f"{name}={_DOLLARS_A_MILLION}" for name in prices)
        words = [f"--source={self.folder / 'prompts.parquet'}", f"--samples={self.prompts}"]
        words += [f"--models={','.join(self.models)}", "--judge_model=sim", f"--judge_address={self.judge.url}/v1"]
        words += [searched, f"++extra.answers={searched} {price}", f"++budget_usd={budget_usd}"]
        environment = {"NS_DATA_DIR": str(self.folder / "data")}
        return start("eval", "--recipe=scientific", f"--output_dir={self.out}", *words, cwd=self.folder, env=environment)

    def ended(self, budget_usd: float) -> tuple[int, str]:
        """The recipe until it ends: its exit code, and what it said. One that is killed may still be ending its jobs."""
        deadline = time.monotonic() + _WITHIN_S
        while True:
            process = self.started(budget_usd)
            _, said = process.communicate(timeout=_WITHIN_S)
            busy = process.returncode not in (0, _INCOMPLETE) and _BUDGET_REACHED not in said
            if not busy or time.monotonic() > deadline:
                return process.returncode, said
            time.sleep(0.5)

    def written(self) -> int:
        """How many answers and judgements are on disk in whatever state."""
        found = [*self.out.glob("*/eval-results/*/output*.jsonl*"), *self.out.glob("*/eval-results-judged/*/*/*.jsonl*")]
        count = 0
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                count += path.read_bytes().count(b"\n")
        return count


@contextlib.contextmanager
def opened(folder: Path, models: Sequence[Model], prompts: int) -> Iterator[Play]:
    """Starts the servers and writes the prompts and models of a play."""
    _write_prompts(folder / "prompts.parquet", prompts)
    (folder / "conf" / "model").mkdir(parents=True)
    with contextlib.ExitStack() as running:
        engines = {}
        for model in models:
            engine = running.enter_context(simulated(*model.options, "--text", f"Ability {model.ability}. "))
            engines[model.name] = engine
            _write_model(folder, model.name, "sim", "openai", f"{engine.url}/v1", model.limit)
        hosted = running.enter_context(provider(_fails_at_first))
        _write_model(folder, "hosted", "sim", "openai", f"{hosted.url}/v1", 1024)
        _write_model(folder, "local", "shipped:tinymath", "llamacpp", "", 48)
        judge = running.enter_context(provider(_rates))
        yield Play(folder, engines, hosted, judge, prompts)


def play(here: Play, chance: random.Random, kills: int, budget_usd: float) -> Outcome:
    """Starts that are killed, one in a budget that stops it; a larger budget, more that are killed, one that ends."""
    began, found = time.monotonic(), Outcome()
    found.kills += killed(here, chance, budget_usd)
    code, said = here.ended(budget_usd)
    found.spent_usd = here.billed_usd
    found.wrong += stopped(here, found, budget_usd)
    if code != BudgetError.exit_code or _BUDGET_REACHED not in said:
        found.wrong.append(f"the budget of ${budget_usd} stopped nothing: {code}, {said[-300:]}")
    for _ in range(kills - found.kills):
        found.kills += killed(here, chance, _ENOUGH_USD)
    code, said = here.ended(_ENOUGH_USD)
    if code != _INCOMPLETE:
        found.wrong.append(f"the last start ended with {code}, not {_INCOMPLETE}: {said[-600:]}")
    count(here, found)
    found.seconds = time.monotonic() - began
    return found


def stopped(here: Play, found: Outcome, budget_usd: float) -> Iterator[str]:
    """What is wrong with a recipe that its budget stopped; into `found` how much is not asked for that reason."""
    if found.spent_usd > budget_usd:
        yield f"the servers counted ${found.spent_usd}, the budget was ${budget_usd}"
    for name in here.models:
        for row in _rows(here.out / name / "eval-results" / BENCHMARK):
            found.unasked += (row.get("error") or "").startswith("not asked: the budget of $")
    if not found.unasked:
        yield "nothing is recorded as not asked"
    merged = pq.read_table(here.out / "reports" / "merged_results.parquet").num_rows
    if merged != here.prompts * len(here.models):
        yield f"merged_results.parquet had {merged} rows when the budget was reached"


def killed(here: Play, chance: random.Random, budget_usd: float) -> bool:
    """Starts the recipe and kills it, alone or with all it has started, after a random number of lines; whether it lived."""
    process = here.started(budget_usd)
    wanted, deadline = here.written() + chance.randint(1, here.prompts // 2), time.monotonic() + chance.uniform(4, 40)
    while process.poll() is None and here.written() < wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = process.poll() is None
    # Alone: its keepers have to end the rest. All: as when a node loses its power.
    victims = [process.pid] if chance.random() < 0.5 else _processes(here)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    return alive


def count(here: Play, found: Outcome) -> None:
    """Into `found`: what lies there, and what must not."""
    for name in here.models:
        asked = _rows(here.out / name / "eval-results" / BENCHMARK)
        judged = _rows(here.out / name / "eval-results-judged" / BENCHMARK)
        found.answers += len(asked)
        found.truncated += sum(row["status"] == "truncated" for row in asked)
        found.judgements += len(judged)
        found.wrong += _ungrounded(name, judged)
        found.unrated += sum("scores" not in row["verdicts"]["rubric"] for row in judged)
        for kind, rows in (("answers", asked), ("judgements", judged)):
            ids = {row["id"] for row in rows}
            if len(ids) != here.prompts or len(rows) != here.prompts:
                found.wrong.append(f"{name}: {len(rows)} {kind} of {len(ids)} prompts, not {here.prompts}")
    found.again = here.hosted.answered.total() - len(here.hosted.answered)
    if found.again > found.kills * _IN_FLIGHT:
        found.wrong.append(f"{found.again} answers of the provider were paid for again, after {found.kills} kills")
    merged = pq.read_table(here.out / "reports" / "merged_results.parquet").num_rows
    if merged != here.prompts * len(here.models):
        found.wrong.append(f"merged_results.parquet has {merged} rows")


def _ungrounded(name: str, judged: Sequence[dict[str, Any]]) -> list[str]:
    """Judgements with neither a rating nor a reason, and ratings that the judge never gave."""
    wrong = []
    for row in judged:
        verdict = row["verdicts"]["rubric"]
        rated = set(CRITERIA) <= set(verdict.get("scores", ()))
        if rated == bool(verdict.get("error")) or (rated and RIDDLE in row["problem"]):
            wrong.append(f"{name}: {row['id']} is judged {verdict}")
    return wrong


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [loads(line) for path in outputs(folder).values() for line in path.read_bytes().splitlines()]


def _processes(here: Play) -> list[int]:
    """Everything that names the folder in its command line: the recipe, its commands, their keepers, jobs and servers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(here.folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _write_prompts(path: Path, count: int) -> None:
    rows = [
        {
            "id": f"p{at}",
            "prompt": f"Why is observation {at} so?{' ' + RIDDLE if at == 0 else ''}",
            "domain": DOMAINS[at % len(DOMAINS)],
            "task_type": "explanation",
        }
        for at in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def _write_model(folder: Path, name: str, path: str, kind: str, address: str, limit: int) -> None:
    lines = [f"name: {name}", "about: simulated", f"path: {path}", f"server_type: {kind}"]
    lines += [f"server: {{base_url: {address}}}"] if address else []
    lines += [f"inference: {{tokens_to_generate: {limit}}}", f"max_concurrent_requests: {_IN_FLIGHT}"]
    (folder / "conf" / "model" / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def _draw(*words: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4], "big") / 2**32


def _fails_at_first(text: str, before: int) -> str:
    """A hosted model: a fifth of what it is asked meets an upstream error inside a 200, once."""
    if before == 0 and _draw("upstream", text) < 0.2:
        raise ConnectionError("upstream overloaded")
    return f"Ability 2. It is so because {hashlib.sha256(text.encode()).hexdigest()[:12]}."


def _rates(text: str, before: int) -> str:
    """The judge: near the answer's ability; a tenth of its replies is no JSON, and no reply about the riddle ever is."""
    if RIDDLE in text or _draw("unreadable", text, before) < 0.1:
        return "I quite like this one."
    shown = re.search(r"Ability (\d)", text)
    ability = int(shown[1]) if shown else 2
    ratings = {name: max(1, ability - (_draw(name, text) < 0.3)) for name in CRITERIA}
    return json.dumps({"comments": "as it stands", **ratings})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=240)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=0.3, help="dollars for all, at a dollar a million tokens")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recipe-") as folder, opened(Path(folder), SIMULATED, given.prompts) as here:
        found = play(here, random.Random(given.seed), given.kills, given.budget)
    print(found)
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
