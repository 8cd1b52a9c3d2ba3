"""`--server_container`: the job runs in that image, and finds there what its arguments name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ns_eval.cli import main
from ns_eval.resources import folder
from tests.commands import ns
from tests.paths import REPO
from tests.peers.standins import script

SHIPPED = folder("shipped")
# What a node tells its job.
NODE = {"SLURM_JOB_ID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0", "SLURM_PROCID": "0"}
NODE |= {"SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "here"}
# sbatch keeps the script; srun notes its options, as a cluster with Pyxis takes them, and runs the program.
SBATCH = 'for last; do :; done; n=$(ls "$HOME" | grep -c job-); cp "$last" "$HOME/job-$n.sh"; echo "Submitted batch job $n"'
SRUN = """while :; do case "$1" in
  --output) shift 2;;
  --*) echo "$1" >>"$HOME/srun"; shift;;
  *) exec "$@";;
esac; done"""


@pytest.fixture(autouse=True)
def login_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's and Apptainer's commands as stand-ins, a home folder and a cluster config."""
    for name in ("bin", "home", "data"):
        (tmp_path / name).mkdir()
    for name, text in {
        "sbatch": SBATCH,
        "srun": SRUN,
        "squeue": "true",
        "apptainer": f'exec "{sys.executable}" "{REPO}/tests/peers/containers.py" apptainer "$@"',
        "python3": f'exec "{sys.executable}" "$@"',
    }.items():
        script(tmp_path / "bin" / name, text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def cluster(tmp_path: Path, runtime: str) -> str:
    values = {
        "executor": "slurm",
        "partition": "main",
        "default_timeout": "00:10:00",
        "container_runtime": runtime,
        "containers": {"mine": "/images/python.sif", "llamacpp": "/images/other.sif"},
        "mounts": [f"{tmp_path / 'data'}:/workspace"],
    }
    path = tmp_path / "cluster.yaml"
    path.write_text(json.dumps(values))
    return f"--cluster={path}"


def evaluated(tmp_path: Path, runtime: str, image: str) -> None:
    """Submits a run and does, as a node would, what sbatch was given."""
    words = ["--model=tinymath", "--benchmarks=arithmetic:1", "--max_samples=2", "--output_dir=out", "--detach"]
    ns("eval", *words, cluster(tmp_path, runtime), f"--server_container={image}", cwd=tmp_path)
    environment = {**os.environ, **NODE, "PYTHONPATH": str(REPO), "PYTHONSAFEPATH": "1"}
    with (tmp_path / "job.log").open("w") as log:
        job = ["bash", str(tmp_path / "home/job-0.sh")]
        subprocess.run(job, cwd=tmp_path, env=environment, stdout=log, stderr=log, timeout=240, check=False)
    done = tmp_path / "out/eval-results/arithmetic/output-rs0.jsonl.done"
    assert done.exists(), (tmp_path / "job.log").read_text()


def expected_mounts(tmp_path: Path) -> set[str]:
    data = tmp_path / "data"
    own = [tmp_path / "out", SHIPPED / "tinymath", SHIPPED / "arithmetic"]
    return {f"{data}:/workspace", f"{data}:{data}", *(f"{path}:{path}" for path in own)}


def test_apptainer_runs_the_job_in_the_image_that_is_named(tmp_path: Path) -> None:
    evaluated(tmp_path, "apptainer", "mine")
    told = json.loads((tmp_path / "home/told.json").read_text())
    assert (told["image"], told["nv"]) == ("/images/python.sif", True)
    assert told["program"][0] == "python3" and "submitit.core._submit" in told["program"]
    mounts = set(",".join(told["bind"]).split(","))
    assert expected_mounts(tmp_path) <= mounts
    assert not [mount for mount in mounts if mount.partition(":")[0] in ("/", str(tmp_path / "home"))]


def test_pyxis_is_given_an_image_by_its_path(tmp_path: Path) -> None:
    evaluated(tmp_path, "pyxis", "/images/vllm.sqsh")
    told = dict(word.split("=", 1) for word in (tmp_path / "home/srun").read_text().splitlines() if "=" in word)
    assert told["--container-image"] == "/images/vllm.sqsh"
    assert expected_mounts(tmp_path) <= set(told["--container-mounts"].split(","))
    assert {"PYTHONPATH", "PYTHONSAFEPATH"} <= set(told["--container-env"].split(","))
    assert "--no-container-mount-home" in (tmp_path / "home/srun").read_text()


@pytest.mark.parametrize("command", ["eval", "start_server"])
def test_an_image_that_is_none_is_refused_with_the_nearest_name(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--model=tinymath", "--output_dir=out", "--server_container=mien", cluster(tmp_path, "pyxis")]
    assert main([command, *words, *(["--benchmarks=arithmetic:1"] if command == "eval" else [])]) == 2
    assert "has no such container, did you mean `mine`?" in capsys.readouterr().err
    assert not list((tmp_path / "home").glob("job-*"))
