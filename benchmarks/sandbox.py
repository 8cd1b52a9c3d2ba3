"""Speed of the sandbox, beside a cold `bwrap python` where bubblewrap is installed.

    python -m benchmarks.sandbox
    python -m benchmarks.sandbox --codegen ../shared/data      # all 8,200 CodeGen programs against their labels

Wall times depend on what else runs: the load is printed, and CPU times stand beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Awaitable, Callable
from math import comb
from pathlib import Path

from judges.code import CodeJudge
from ns_eval.records import Generation, Question
from ns_eval.sandbox import Sandbox

PROGRAM = """
def has_close(numbers, limit):
    return any(abs(a - b) < limit for index, a in enumerate(numbers) for b in numbers[:index])
"""
TESTS = "assert has_close([1.0, 2.0, 3.9, 4.0], 0.3)\nassert not has_close([1.0, 2.0, 4.0], 0.05)\n"
IMPORTS = "import numpy, sympy"
CALLS = 500
PROGRAMS = 100
SESSIONS = 64
CPU_OF_EACH = "CPU of this process for each"
CALL_PATH = """A call in a live session: the code goes as one packet over a Unix socket to the session's process, with
two pipes for its output; the process runs it and answers with one packet. No fork, no HTTP, no new interpreter."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codegen", type=Path, help="the folder that holds model_outputs/ and humaneval/")
    parser.add_argument("--python", default="", help="the interpreter for the programs")
    options = parser.parse_args()
    if options.codegen:
        asyncio.run(codegen(options.codegen, options.python))
        return
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} CPUs")
    asyncio.run(measured())
    cold()


async def measured() -> None:
    start = time.perf_counter()
    async with Sandbox() as sandbox:
        print(f"{sandbox.walls}\n\n{CALL_PATH}\n")
        first = sandbox.session("first")
        await first.run("1")
        line("both zygotes started", 1e3 * (time.perf_counter() - start), "ms")
        await timed("a call in a live session", CALLS, lambda _: first.run("x = 1"), "1")
        await timed("a fresh session, numpy and sympy loaded", 20, lambda n: sandbox.session(str(n)).run(IMPORTS), "80")
        await timed("a HumanEval program from text to verdict", 20, lambda _: sandbox.program(PROGRAM, tests=TESTS), "25")
        start, used = time.perf_counter(), cpu_s()
        await asyncio.gather(*(sandbox.program(PROGRAM, tests=TESTS) for _ in range(PROGRAMS)))
        line("programs a second", PROGRAMS / (time.perf_counter() - start), "/s", f"{CPU_OF_EACH} {each_ms(used, PROGRAMS)}")
        before = private_mb(sandbox)
        await asyncio.gather(*(sandbox.session(f"s{number}").run("import numpy") for number in range(SESSIONS)))
        line("an idle session", (private_mb(sandbox) - before) / SESSIONS, "MB", "to be at most 20")


def cold() -> None:
    """What each call costs where nothing is kept: a new wall and a new interpreter."""
    print()
    words, label = [sys.executable], "cold"
    env = {"PATH": os.defpath}
    if bwrap := shutil.which("bwrap"):
        label = "cold bwrap"
        words = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", *words]
        if os.geteuid() == 0:  # started by root it would be no wall, and others may not read an interpreter of root's
            words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words[:-1], "/usr/bin/python3"]
            env["PYTHONPATH"] = sysconfig.get_path("purelib")
    for name, code in (("python", "1"), ("python with numpy and sympy", IMPORTS)):
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            done = subprocess.run([*words, "-c", code], capture_output=True, env=env)
            taken.append(time.perf_counter() - start)
        if done.returncode:
            print(f"{label} {name}: not possible: {done.stderr.decode().strip().splitlines()[-1]}")
        else:
            line(f"{label} {name}", 1e3 * statistics.median(taken), "ms", f"best {1e3 * min(taken):.2f}")


async def codegen(data: Path, python: str) -> None:
    """The labels and pass@k of 82 tasks x 100 samples."""
    folder = data / "model_outputs" / "humaneval_codegen16b_n100"
    upstream = gzip.decompress((data / "humaneval" / "HumanEval.jsonl.gz").read_bytes()).splitlines()
    tests = {row["task_id"]: row for row in map(json.loads, upstream)}
    labels = [json.loads(text) for text in (folder / "labels.jsonl").read_text().splitlines()]
    rows = [json.loads(text) for text in (folder / "code_solution.1-82.jsonl").read_text().splitlines()]
    passed, start = [], time.perf_counter()
    async with CodeJudge(sandbox={"python": python}) as judge:
        for label, row in zip(labels, rows, strict=True):
            task = tests[label["task_id"]]
            meta = {"starter_code": row["prompt"], "entry_point": task["entry_point"]}
            question = Question(task["task_id"], row["prompt"], meta={**meta, "tests": _tests(task)})
            verdicts = await asyncio.gather(*(judge.graded(question, Generation(text)) for text in row["samples"]))
            passed.append(sum(verdict.correct is True for verdict in verdicts))
            for index, (verdict, expected) in enumerate(zip(verdicts, label["passed"], strict=True)):
                if verdict.correct is not expected:
                    imports = sorted(set(re.findall(r"^(?:import|from) (\w+)", row["samples"][index], re.MULTILINE)))
                    print(f"differs: {task['task_id']} sample {index}: {verdict.comment}; it imports {', '.join(imports)}")
    print(f"{sum(passed)} of {100 * len(passed)} passed, {100 * len(passed) / (time.perf_counter() - start):.0f} programs/s")
    for k in (1, 2, 5, 10, 50, 100):
        print(f"pass@{k} {statistics.fmean(1 - comb(100 - right, k) / comb(100, k) for right in passed):.10f}")


def _tests(task: dict[str, str]) -> str:
    return f"{task['test']}\n\ncheck({task['entry_point']})\n"


async def timed(name: str, count: int, work: Callable[[int], Awaitable[object]], target: str) -> None:
    """Prints the median, and what tells of a machine that is busy with something else: the best and the CPU time."""
    taken, used = [], cpu_s()
    for number in range(count):
        start = time.perf_counter()
        await work(number)
        taken.append(1e3 * (time.perf_counter() - start))
    notes = f"to be at most {target}; best {min(taken):.2f}, {CPU_OF_EACH} {each_ms(used, count)}"
    line(name, statistics.median(taken), "ms", notes)


def each_ms(used_s: float, count: int) -> str:
    return f"{1e3 * (cpu_s() - used_s) / count:.2f}"


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def private_mb(sandbox: Sandbox) -> float:
    """Memory of the zygote's whole tree, shared pages divided among those who share them."""
    from ns_eval.sandbox.processes import descendants

    assert sandbox.sessions_from.pid is not None
    total = 0
    for pid, _ in descendants(sandbox.sessions_from.pid):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(number) for number in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
    return total / 1024


def line(name: str, value: float, unit: str, notes: str = "") -> None:
    print(f"{name:<46} {value:9.2f} {unit:<3} {notes and f'({notes})'}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
