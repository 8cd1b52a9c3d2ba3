"""Jobs for the tests of the launcher: each does its work through files, so that a test reads what happened."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ns_eval.errors import ServerError


def write(path: str, text: str = "done") -> None:
    """Adds a line to a file: lines count the times it ran."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def tell(path: str, names: list[str]) -> None:
    """Writes the named environment variables, one `NAME=value` a line."""
    Path(path).write_text("".join(f"{name}={os.environ.get(name)}\n" for name in names), encoding="utf-8")


def refuse(message: str, hint: str | None = None) -> None:
    raise ServerError(message, hint=hint)


def crash() -> None:
    print("about to divide", file=sys.stderr)
    _ = 1 / 0


def with_children(pids: str, release: str) -> None:
    """Starts a child that starts a grandchild in a session of its own, then waits until `release` exists."""
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    grandchild = child.stdout.readline().strip()
    Path(f"{pids}.partial").write_text(f"{os.getpid()} {child.pid} {grandchild}", encoding="utf-8")
    Path(f"{pids}.partial").rename(pids)
    wait_for(release)


def meet(folder: str, who: str, others: int) -> None:
    """Enters, waits until `others` have entered, records how many were inside then, leaves."""
    place = Path(folder)
    (place / f"{who}.in").touch()
    while len(list(place.glob("*.in"))) < others:
        time.sleep(0.01)
    inside = len(list(place.glob("*.in"))) - len(list(place.glob("*.out")))
    (place / f"{who}.saw").write_text(str(inside), encoding="utf-8")
    (place / f"{who}.out").touch()


def wait_for(release: str) -> None:
    """Waits until a file exists."""
    while not Path(release).exists():
        time.sleep(0.02)


def gpus_of(folder: str, who: str) -> None:
    """Meets the other job, then writes the GPUs it was given."""
    Path(folder, f"{who}.gpus").write_text(os.environ["CUDA_VISIBLE_DEVICES"], encoding="utf-8")
    while len(list(Path(folder).glob("*.gpus"))) < 2:
        time.sleep(0.01)


def twice(folder: str) -> None:
    """Waits for ever the first time, ends at once the second."""
    first = Path(folder, "first")
    if not first.exists():
        first.touch()
        time.sleep(600)


def die_once(folder: str, who: str) -> None:
    """Is killed the first time; notes each later start."""
    first = Path(folder, f"{who}.first")
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(str(Path(folder, f"{who}.starts")))


def deaf_once(folder: str, who: str) -> None:
    """Hears nothing the first time, and would go on for ever; notes each later start."""
    first = Path(folder, f"{who}.first")
    if not first.exists():
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        first.touch()
        time.sleep(600)
    write(str(Path(folder, f"{who}.starts")))


def family_once(folder: str) -> None:
    """`with_children` the first time; ends at once the second."""
    if not Path(folder, "pids").exists():
        with_children(str(Path(folder, "pids")), str(Path(folder, "never")))


def where_from(path: str) -> None:
    """Writes where the engine's code was imported from."""
    import ns_eval

    Path(path).write_text(str(ns_eval.__file__), encoding="utf-8")


def tell_hashed(path: str, names: list[str]) -> None:
    """Writes the hashes of environment variables: enough to know them by, and no secret."""
    values = {name: os.environ.get(name) for name in names}
    told = {name: None if value is None else hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
    Path(path).write_text(json.dumps(told), encoding="utf-8")


def second_time(path: str, text: str) -> None:
    """Refuses the first time, writes the second."""
    once = Path(f"{path}.{text}")
    if not once.exists():
        once.touch()
        raise ServerError("not yet")
    write(path, text)


def steps_on_all_nodes(path: str) -> None:
    """Adds to a file the names of the nodes of this job, each as a step on that node tells it."""
    nodes = subprocess.run(["scontrol", "show", "hostnames"], capture_output=True, text=True, check=True).stdout.split()
    for node in nodes:
        step = [
            "srun",
            "--overlap",
            "--mem=0",
            "--nodes=1",
            "--ntasks=1",
            f"--nodelist={node}",
            "printenv",
            "SLURMD_NODENAME",
        ]
        write(path, subprocess.run(step, capture_output=True, text=True, check=True).stdout.strip())
