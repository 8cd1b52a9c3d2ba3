"""Kills evaluations on a real Slurm in every way a cluster knows, and checks that nothing is lost or done twice.

python -m benchmarks.murder --rounds 100 [--seed 0] [--kind NODE_DOWN]      needs tests/cluster/start_slurm.sh, as root

A round is one `ns eval` of two benchmarks over two jobs, one simulated engine each, killed at a random moment. Then the run
must be complete, hold no sample twice, and have asked again at most what was in flight; the engines' own journal counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from ns_eval import process_ids
from tests.cluster.slurm import Run, config, nodes_are_back, preempt, slurm, start_again_now, steps, until

NODES = ("n1", "n2", "n3", "n4")
_SLOTS = 8
_TMPFS = "size=32m"
# After the other kinds a run completes without anybody.
_FOR_A_PERSON = ("scancel", "full_disk")
# A node that was down remembers its last jobs for some seconds after their processes are gone. Slurm would wait two minutes
# and never notice; the tests shorten that, and a job that is met twice drains the node.
_FORGOTTEN_S = 10.0


@dataclass(frozen=True)
class Outcome:
    """`again` samples were asked more than once, `in_flight` were asked and not answered when it happened; both by the
    engines' own count. `retries` is how often a person had to type `ns retry`."""

    kind: str
    complete: bool
    again: int
    in_flight: int
    retries: int
    seconds: float
    orphans: tuple[int, ...]

    @property
    def good(self) -> bool:
        """Between the count and the kill each of two jobs may have sent as much again as its engine holds."""
        alone = self.retries == 0 or self.kind in _FOR_A_PERSON
        return self.complete and self.again <= self.in_flight + 2 * _SLOTS and not self.orphans and alone


def rounds(kinds: Sequence[str], folder: Path, chance: random.Random) -> Iterator[Outcome]:
    """A round of each kind, as many together as there are nodes; outcomes come as the rounds end.

    Raises:
        AssertionError: a round could not be played; the others are played to their end.
    """
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for node in NODES:
        free.put(node)

    def play(number: int, kind: str, seed: int) -> Outcome:
        node = free.get()
        try:
            (folder / f"{number}-{kind}").mkdir()
            return murder(kind, folder / f"{number}-{kind}", random.Random(seed), node)
        finally:
            free.put(node)

    with ThreadPoolExecutor(len(NODES)) as pool:
        played = [pool.submit(play, number, kind, chance.randrange(2**32)) for number, kind in enumerate(kinds)]
        for done in as_completed(played):
            yield done.result()


def murder(kind: str, folder: Path, chance: random.Random, node: str) -> Outcome:
    """One round. It has a node of its own, so that several rounds can go on together."""
    began = time.monotonic()
    partition = "low" if kind == "preemption" else "main"
    cluster = config(folder / "cluster.yaml", partition=partition, sbatch={"nodelist": node})
    # Slurm looks at time limits twice a minute: the run must last longer.
    us_per_token = 8000 if kind == "time_limit" else 1000
    run = Run(folder, str(cluster), seeds=8, jobs=2, us_per_token=us_per_token, slots=_SLOTS)
    with small_disk(run.out) if kind == "full_disk" else contextlib.nullcontext():
        launcher = run.start()
        try:
            moment = chance.randint(1, 40)
            until(lambda: run.answered() >= moment or launcher.poll() is not None, what="the run did not begin")
            assert launcher.poll() is None, f"the run ended before it was killed:\n{launcher.communicate()}"
            in_flight = run.asked().total() - run.answered()
            victims = run.processes()
            KINDS[kind](run, chance, node)
            code, retries = finished(run, launcher), 0
            while code != 0 and retries < 4:
                code, retries = finished(run, again(run)), retries + 1
            until(lambda: not any(map(process_ids.started, victims)), 120, "a killed job left processes behind")
        finally:
            launcher.kill()
            launcher.wait()
            forget(run)
        asked = run.asked()
        complete = code == 0 and run.complete()
        orphans = tuple(run.processes())
        return Outcome(kind, complete, asked.total() - len(asked), in_flight, retries, time.monotonic() - began, orphans)


def forget(run: Run) -> None:
    """A job that was requeued although it had finished may still wait for its turn to do nothing."""
    if not (run.out / "jobs.json").exists():
        return
    ids = run.job_ids()
    subprocess.run(["scancel", *ids], capture_output=True, timeout=60)
    parents = ",".join({name.partition("_")[0] for name in ids})
    until(lambda: not slurm("squeue", "-h", "-j", parents).strip(), what="Slurm does not let go of a job")


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
    deadline = time.monotonic() + 600
    while command.poll() is None:
        nodes_are_back()
        start_again_now(ids)
        if time.monotonic() > deadline:
            command.kill()
            raise AssertionError(f"not done after ten minutes:\n{slurm('squeue', '-r')}\n{command.communicate()}")
        time.sleep(1.0)
    out, told = command.communicate()
    if command.returncode != 0:
        print(f"     ended with {command.returncode}: {(told or out).strip()[:600]}", file=sys.stderr, flush=True)
    return command.returncode


def time_limit(run: Run, chance: random.Random, node: str) -> None:
    """The limit of one job becomes so short that Slurm tells it at once; the rest of its work gets the old one back."""
    name = chance.choice(["generate-0", "generate-1"])
    job = run.state(name)["job_id"]
    slurm("scontrol", "update", f"jobid={job}", "timelimit=1")
    until(lambda: run.state(name)["state"] == "requeued" or run.state(name)["attempt"] > 1, what="no time limit came")
    until(lambda: slurm("squeue", "-h", "-j", job, "-o", "%T").strip() == "PENDING", what=f"{job} is not queued again")
    slurm("scontrol", "update", f"jobid={job}", "timelimit=10")


def requeue(run: Run, chance: random.Random, node: str) -> None:
    slurm("scontrol", "requeue", chance.choice(run.job_ids()))


def preemption(run: Run, chance: random.Random, node: str) -> None:
    higher = preempt("-w", node)
    try:
        until(lambda: slurm("squeue", "-h", "-j", higher, "-o", "%T").strip() == "RUNNING", what="nobody was preempted")
    finally:
        slurm("scancel", higher)


def node_down(run: Run, chance: random.Random, node: str) -> None:
    numbers = [_number(job) for job in run.job_ids()]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=murder")
    until(lambda: nodes_are_back() and not any(map(steps, numbers)), what=f"{node} does not come back")
    time.sleep(_FORGOTTEN_S)


def scancel(run: Run, chance: random.Random, node: str) -> None:
    slurm("scancel", chance.choice(run.job_ids()))


def kill_python(run: Run, chance: random.Random, node: str) -> None:
    _kill(run, chance, lambda words: b"submitit.core._submit" in words and b"srun" not in words[0])


def kill_server(run: Run, chance: random.Random, node: str) -> None:
    _kill(run, chance, lambda words: b"--journal" in words and not any(b"keeper.py" in word for word in words))


def kill_stepd(run: Run, chance: random.Random, node: str) -> None:
    """The slurmstepd of a job's task: the parent of its Python."""
    job = chance.choice(run.job_ids())
    for pid in steps(f"{_number(job)}0]"):
        os.kill(pid, signal.SIGKILL)


def full_disk(run: Run, chance: random.Random, node: str) -> None:
    """Fills the run folder's file system, waits until somebody notices, then makes room."""
    filler = run.out / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    answered = run.answered()
    try:
        until(lambda: run.answered() > answered + 4 or not run.processes())
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


def _number(job: str) -> str:
    """The number that a job has outside of its array, with the point that its steps' names go on with."""
    return slurm("scontrol", "show", "job", job).split("JobId=")[1].split()[0] + "."


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


KINDS: dict[str, Callable[[Run, random.Random, str], None]] = {
    item.__name__: item
    for item in (time_limit, requeue, preemption, node_down, scancel, kill_python, kill_server, kill_stepd, full_disk)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS))
    given = parser.parse_args()
    chance = random.Random(given.seed)
    # Every kind once, then whichever.
    kinds = [*KINDS, *chance.choices([*KINDS], k=given.rounds)][: given.rounds]
    if given.kind:
        kinds = [given.kind] * given.rounds
    bad = 0
    with tempfile.TemporaryDirectory(prefix="murder-") as folder:
        for found in rounds(kinds, Path(folder), chance):
            bad += not found.good
            print(f"{'ok  ' if found.good else 'BAD '} {found}", flush=True)
    print(f"{given.rounds - bad} of {given.rounds} rounds lost nothing")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
