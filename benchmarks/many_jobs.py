"""Submits 500 jobs to a real Slurm and watches them: how long the submission takes, how often Slurm is asked for them.

python -m benchmarks.many_jobs [--jobs 500] [--watch-s 60]      needs tests/cluster/start_slurm.sh, as root

First all of them wait in the queue, then as many as there is room for run. Bounds: 3 s, 12 calls a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ns_eval import launch
from ns_eval.cluster import clusters
from ns_eval.cluster.job_status import current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.job_files import Submitted
from ns_eval.jobs import JobSpec
from tests.cluster.slurm import bring_to_rest, config, slurm
from tests.paths import REPO

_SUBMIT_S = 3.0
_CALLS_A_MINUTE = 12


def watched(submitted: Sequence[Submitted], seconds: float, what: str) -> float:
    """Looks at the jobs as `ns eval` does, twice a second; the calls to Slurm a minute."""
    watch = Watch()
    began = time.monotonic()
    states: Counter[str] = Counter()
    while time.monotonic() - began < seconds:
        states = Counter(found.state for found in current(submitted, watch))
        time.sleep(0.5)
    rate = watch.calls / (time.monotonic() - began) * 60
    print(f"{what}: {watch.calls} calls in {seconds:.0f} s, {rate:.1f} a minute; {dict(states)}")
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--watch-s", type=float, default=60.0)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(REPO)
    bring_to_rest()
    with tempfile.TemporaryDirectory(prefix="many-") as name:
        folder = Path(name)
        release = {"release": str(folder / "release")}
        jobs = [JobSpec(f"generate-{n}", "tests.cluster.targets:wait_for", release) for n in range(given.jobs)]
        place = clusters.load(str(config(folder / "cluster.yaml", sbatch={"begin": "now+1hour"})))
        launch.submit(jobs[:1], place, folder / "first")  # its imports and the copy of the code are everybody's
        began = time.monotonic()
        submitted = launch.submit(jobs, place, folder / "out")
        took = time.monotonic() - began
        arrays = sorted({job.job_id.partition("_")[0] for job in submitted})
        print(f"{len(jobs)} jobs submitted in {took:.2f} s, as {len(arrays)} array")
        try:
            rates = [watched(submitted, given.watch_s, "queued")]
            slurm("scontrol", "update", f"jobid={arrays[0]}", "starttime=now")
            rates.append(watched(submitted, given.watch_s, "running"))
        finally:
            subprocess.run(["scancel", *arrays], check=True)
            bring_to_rest()
    return 0 if took <= _SUBMIT_S and max(rates) <= _CALLS_A_MINUTE else 1


if __name__ == "__main__":
    sys.exit(main())
