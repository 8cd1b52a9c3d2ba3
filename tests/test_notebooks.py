"""Both notebooks run from top to bottom, on the shipped model, without a GPU and without the network."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import heavy
from tests.paths import REPO

nbformat: Any = pytest.importorskip("nbformat", reason="pip install nbformat nbclient ipykernel")
nbclient: Any = pytest.importorskip("nbclient", reason="pip install nbformat nbclient ipykernel")
# Three minutes on an idle machine would be too many; a loaded one may take longer.
TIMEOUT_S = 900


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, packages: str = "") -> Any:
    """The notebook with its outputs; `packages` is a site-packages folder that is searched last."""
    examples = folder / "examples"
    shutil.copytree(REPO / "examples" / "lora", examples / "lora")
    monkeypatch.setenv("PYTHONPATH", heavy.python_path(folder, packages))
    monkeypatch.setenv("NS_DATA_DIR", str(folder / "none"))
    for offline in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(offline, "1")
    notebook = nbformat.read(REPO / "examples" / name, as_version=4)
    # The interpreter of the tests, not whichever kernel is installed under that name.
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager()
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    client = nbclient.NotebookClient(
        notebook, km=manager, timeout=TIMEOUT_S, resources={"metadata": {"path": str(examples)}}
    )
    return client.execute()


def texts(notebook: Any) -> str:
    """All that its cells print and show as text."""
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(shown)


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))


@pytest.mark.slow
def test_first_steps_run_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("first_steps.ipynb", tmp_path, monkeypatch)
    assert pictures(done) == 1
    assert "pass@1[4]" in texts(done)


@pytest.mark.slow
def test_the_fiqa_notebook_finds_what_its_adapter_gains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("nemotron_fiqa_evaluation.ipynb", tmp_path, monkeypatch, heavy.packages())
    told = texts(done)
    assert pictures(done) == 2
    assert "**improved**" in (tmp_path / "examples/fiqa-results/report.md").read_text()
    # Where rounding lets two words tie, one may differ.
    assert re.search(r"[56] of 6 answers are the same text by PeftModel and by the server", told)
    files = {path.name for path in (tmp_path / "examples/fiqa-results/comparison").iterdir()}
    assert files == {"baseline_results.json", "peft_results.json", "comparison.json"}
