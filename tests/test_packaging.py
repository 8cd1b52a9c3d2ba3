"""What is installed is what is in the checkout, and it works from an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.paths import REPO


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=REPO, check=True)
    (found,) = folder.glob("*.whl")
    return found


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in listed.stdout.splitlines() if (REPO / line).is_file()}


def test_the_wheel_holds_the_packages_and_the_yaml_and_nothing_else(wheel: Path) -> None:
    packages = tracked("ns_eval", "judges", "summarize", "dataset_prepare")
    data = {f"ns_eval/{name}" for name in tracked("conf", "cluster_configs")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == packages | data


def test_every_package_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {f"{name}/py.typed" for name in ("ns_eval", "judges", "summarize", "dataset_prepare")} <= held


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 12_000_000


@pytest.mark.slow
def test_the_wheel_runs_the_main_job_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    lock = ["--constraint", str(REPO / "requirements.lock")]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *lock, f"{wheel}[embedded]"], check=True)
    command = [str(python.with_name("ns")), "eval", "--model=tinymath", "--benchmarks=arithmetic:2", "--output_dir=out"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 0, told.stderr
    assert "pass@1[2]" in told.stdout
    assert "200/200" in told.stderr


def test_a_queued_job_keeps_the_code_of_a_wheel_that_is_upgraded_meanwhile(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    (installed / "conf").mkdir()  # another project's
    take = "import pathlib, ns_eval.cluster.code_snapshot as s; print(s.take(pathlib.Path('out')))"
    kept = path_of(take, tmp_path, installed)
    (installed / "ns_eval" / "resources.py").write_text("raise SystemExit('upgraded')", encoding="utf-8")
    found = path_of(
        "from ns_eval.resources import conf_file; print(conf_file('judge', 'symbolic'))", tmp_path, kept, installed
    )
    assert found.is_relative_to(kept)
    assert sorted(path.name for path in kept.iterdir()) == ["dataset_prepare", "judges", "ns_eval", "summarize"]


def path_of(code: str, cwd: Path, *path: Path) -> Path:
    """The path that it prints, run with these folders before all others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return (cwd / told.stdout.strip()).resolve()
