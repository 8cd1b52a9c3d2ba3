"""Kills evaluations on a real Slurm in every way a cluster knows, and checks that nothing is lost or done twice.

python -m benchmarks.murder --rounds 100 [--seed 0] [--kind NODE_DOWN]      needs tests/cluster/start_slurm.sh, as root

A round is one `ns eval` of two benchmarks over two jobs, one simulated engine each, killed at a random moment. Then the run
must be complete, hold no sample twice, and have asked again at most what was in flight; the engines' own journal counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ns_eval import process_ids
from tests.cluster.slurm import Run, config, nodes_are_back, occupy_all_nodes, slurm, start_again_now, until

_SLOTS = 8
_TMPFS = "size=32m"


@dataclass(frozen=True)
class Outcome:
    """`again` samples were asked more than once, `held` were asked and not on disk when it happened: on their way, or
    waiting to be graded. `retries` is how often a person had to type `ns retry`."""

    kind: str
    complete: bool
    again: int
    held: int
    retries: int
    seconds: float
    orphans: tuple[int, ...]

    @property
    def good(self) -> bool:
        """Between the count and the kill each of two jobs may have sent as much again as its engine holds."""
        return self.complete and self.again <= self.held + 2 * _SLOTS and not self.orphans


def murder(kind: str, folder: Path, chance: random.Random) -> Outcome:
    """One round."""
    began = time.monotonic()
    partition = "low" if kind == "preemption" else "main"
    cluster = config(folder / "cluster.yaml", partition=partition)
    run = Run(folder, str(cluster), seeds=8, jobs=2, us_per_token=1000, slots=_SLOTS)
    with small_disk(run.out) if kind == "full_disk" else contextlib.nullcontext():
        launcher = run.start()
        try:
            moment = chance.randint(1, 40)
            until(lambda: run.answered() >= moment, 120, "the run did not begin")
            held = held_now(run)
            victims = run.processes()
            KINDS[kind](run, chance)
            code, retries = finished(run, launcher), 0
            while code != 0 and retries < 4:
                code, retries = finished(run, again(run)), retries + 1
            until(lambda: not any(map(process_ids.started, victims)), 30, "a killed job left processes behind")
        finally:
            launcher.kill()
            launcher.wait()
            forget(run)
        asked = run.asked()
        complete = code == 0 and run.complete()
        orphans = tuple(run.processes())
        return Outcome(kind, complete, asked.total() - len(asked), held, retries, time.monotonic() - began, orphans)


def held_now(run: Run) -> int:
    """Samples that were asked for and are not on disk."""
    written = sum(path.read_bytes().count(b"\n") for path in (run.out / "eval-results").glob("*/output*.jsonl*"))
    return run.asked().total() - written


def forget(run: Run) -> None:
    """A job that was requeued although it had finished may still wait for its turn to do nothing."""
    if not (run.out / "jobs.json").exists():
        return
    ids = run.job_ids()
    subprocess.run(["scancel", *ids], capture_output=True, timeout=60)
    parents = ",".join({name.partition("_")[0] for name in ids})
    until(lambda: not slurm("squeue", "-h", "-j", parents).strip(), 60, "Slurm does not let go of a job")


def again(run: Run) -> subprocess.Popen[str]:
    """`ns retry`, in the foreground."""
    code = "import sys; from ns_eval.job_commands import RetryConfig, retry; sys.exit(retry(RetryConfig(sys.argv[1])))"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(run.out)],
        env=run.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(run: Run, command: subprocess.Popen[str]) -> int:
    """Waits for a command, shortening Slurm's pause before a requeued job; its exit code."""
    ids = run.job_ids()
    deadline = time.monotonic() + 300
    while command.poll() is None:
        start_again_now(ids)
        if time.monotonic() > deadline:
            command.kill()
            raise AssertionError(f"not done after five minutes:\n{slurm('squeue', '-r')}\n{command.communicate()}")
        time.sleep(0.5)
    out, told = command.communicate()
    if command.returncode != 0:
        print(f"     ended with {command.returncode}: {(told or out).strip()[:600]}", file=sys.stderr, flush=True)
    return command.returncode


def requeue(run: Run, chance: random.Random) -> None:
    slurm("scontrol", "requeue", chance.choice(run.job_ids()))


def preemption(run: Run, chance: random.Random) -> None:
    higher = occupy_all_nodes()
    try:
        until(lambda: slurm("squeue", "-h", "-j", higher, "-o", "%T").strip() == "RUNNING", 120, "nobody was preempted")
    finally:
        slurm("scancel", higher)


def node_down(run: Run, chance: random.Random) -> None:
    node = slurm("squeue", "-h", "-j", run.job_ids()[0].partition("_")[0], "-o", "%N").split()[0]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=murder")
    until(lambda: nodes_are_back(node), 60, f"{node} does not come back")


def scancel(run: Run, chance: random.Random) -> None:
    slurm("scancel", chance.choice(run.job_ids()))


def kill_python(run: Run, chance: random.Random) -> None:
    _kill(run, chance, lambda words: b"submitit.core._submit" in words and b"srun" not in words[0])


def kill_server(run: Run, chance: random.Random) -> None:
    _kill(run, chance, lambda words: b"--journal" in words and not any(b"keeper.py" in word for word in words))


def kill_stepd(run: Run, chance: random.Random) -> None:
    """The slurmstepd of a job's task: the parent of its Python."""
    job = chance.choice(run.job_ids())
    raw = slurm("scontrol", "show", "job", job).split("JobId=")[1].split()[0]
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _command(path).startswith(b"slurmstepd: [" + raw.encode() + b".0]")
    ]
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def full_disk(run: Run, chance: random.Random) -> None:
    """Fills the run folder's file system, waits until somebody notices, then makes room."""
    filler = run.out / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    answered = run.answered()
    try:
        until(lambda: run.answered() > answered + 4 or not run.processes(), 60)
        time.sleep(0.5)
    finally:
        filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", _TMPFS, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _kill(run: Run, chance: random.Random, wanted: Callable[[list[bytes]], bool]) -> None:
    candidates = [pid for pid in run.processes() if wanted(_command(Path(f"/proc/{pid}/cmdline")).split(b"\0"))]
    if candidates:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(candidates), signal.SIGKILL)


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


KINDS: dict[str, Callable[[Run, random.Random], None]] = {
    item.__name__: item
    for item in (requeue, preemption, node_down, scancel, kill_python, kill_server, kill_stepd, full_disk)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS))
    given = parser.parse_args()
    chance = random.Random(given.seed)
    bad = 0
    for number in range(given.rounds):
        # Every kind once, then whichever.
        kinds = list(KINDS)
        kind = given.kind or (kinds[number] if number < len(kinds) else chance.choice(kinds))
        with tempfile.TemporaryDirectory(prefix="murder-") as folder:
            found = murder(kind, Path(folder), chance)
        bad += not found.good
        print(f"{'ok  ' if found.good else 'BAD '} {found}", flush=True)
    print(f"{given.rounds - bad} of {given.rounds} rounds lost nothing")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
