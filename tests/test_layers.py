"""Imports point one way, and each heavy library has one owner."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import REPO

PLUGINS = ("judges", "summarize", "dataset_prepare")
# A module, or a package as a whole, imports only what stands in lower rows.
LAYERS = [
    {"backoff", "errors", "files", "keeper", "process_ids", "queue", "serve_infer", "serve_llamacpp"},
    {"schema"},
    {"config", "job_files", "processes", "ranges", "records", "resources", "sandbox", "texts"},
    {"nemo_skills"},
    {"chat_template", "markup"},
    {"examples"},
    {
        "arguments",
        "benchmarks",
        "checkpoints",
        "endpoint",
        "jobs",
        "likelihood",
        "manifest",
        "pictures",
        "pool",
        "prompts",
        "pace",
        "questions",
        "seed_file",
        "spending",
        "tools",
        "turns",
    },
    {"rundir"},
    {"cluster", "compose", "grading", "loop", "options", "replies", "runs", "scores", "usage"},
    {"context_limits", "shared_budget"},
    {"client", "dealing", "models", "progress"},
    {"asking"},
    {"catalogue", "conversion", "engines", "status", "watching"},
    {"variants"},
    {"launch", "plan", "servers", "show"},
    {"plan_text"},
    {"checks"},
    {"generate_plan", "generation", "job_commands", "server_commands"},
    {"judge_plan"},
    {"recipe_run", "stages"},
    {"commands", "extending", "recipe"},
    {"evaluate_several"},
    {"check_command", "convert_command"},
    {"cli"},
    {"api"},
    {"__init__", "__main__"},
]
OWNERS = {
    "hydra": {"ns_eval/compose.py", "ns_eval/arguments.py"},
    "omegaconf": {"ns_eval/compose.py", "ns_eval/schema.py"},
    "jinja2": {"ns_eval/chat_template.py"},
    "submitit": {"ns_eval/launch.py"},
    "aiohttp": {"ns_eval/client.py", "ns_eval/sandbox/serve.py", "ns_eval/sandbox/remote.py"},
    "xllamacpp": {"ns_eval/serve_llamacpp.py"},
    "pyarrow": {
        "ns_eval/scores/table.py",
        "ns_eval/scores/columns.py",
        "dataset_prepare/readers.py",
        "dataset_prepare/balanced.py",
    },
    "pandas": {
        "summarize/frames.py",
        "summarize/pages/exports.py",
        "summarize/pages/explorer.py",
        "summarize/pages/questions.py",
        "summarize/pages/samples.py",
        "summarize/pages/charts.py",
        "summarize/pages/tabs.py",
    },
    "streamlit": {
        "summarize/pages/app.py",
        "summarize/pages/charts.py",
        "summarize/pages/explorer.py",
        "summarize/pages/serve.py",
        "summarize/pages/tabs.py",
    },
    "altair": {"summarize/pages/charts.py"},
    "torch": {"ns_eval/checkpoints/weights.py", "summarize/text_models.py"},
    "transformers": {"ns_eval/checkpoints/merging.py", "summarize/text_models.py"},
    "peft": {"ns_eval/checkpoints/merging.py", "summarize/text_models.py"},
    "bert_score": {"summarize/text_models.py"},
    "sentence_transformers": {"summarize/text_models.py"},
    "gguf": {"ns_eval/checkpoints/gguf_export.py"},
    "modelopt": {"ns_eval/checkpoints/quantizing.py"},
    "nemo_evaluator": {"summarize/text_nemo.py"},
    "lm_eval": {"judges/ifeval.py"},
    "langdetect": {"judges/ifeval.py"},
    "nltk": {"judges/overlap.py", "judges/ifeval.py"},
    "rouge_score": {"judges/overlap.py"},
    "sacrebleu": {"judges/overlap.py"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(folder: str) -> list[Path]:
    return sorted((REPO / folder).rglob("*.py"))


def layer(module: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if module in names]
    assert found, f"ns_eval/{module} stands in no layer: add it to LAYERS in {Path(__file__).name}"
    return found[0]


@pytest.mark.parametrize("path", modules("ns_eval"), ids=str)
def test_the_engine_imports_no_plugin_and_only_lower_layers(path: Path) -> None:
    inside = path.relative_to(REPO / "ns_eval").with_suffix("").parts[0]
    for name in imports(path):
        assert name.partition(".")[0] not in PLUGINS, f"{path} imports {name}"
        parts = name.split(".")
        if parts[0] != "ns_eval" or len(parts) < 2 or not is_module(parts[1]) or parts[1] == inside:
            continue
        assert layer(parts[1]) < layer(inside), f"{path} imports {name}, which is not below it"


@pytest.mark.parametrize("path", [path for plugin in PLUGINS for path in modules(plugin)], ids=str)
def test_plugins_import_no_other_plugin(path: Path) -> None:
    own = path.relative_to(REPO).parts[0]
    others = set(PLUGINS) - {own}
    assert not [name for name in imports(path) if name.partition(".")[0] in others]


@pytest.mark.parametrize("library", OWNERS)
def test_a_heavy_library_is_imported_by_its_owner_only(library: str) -> None:
    users = {
        path.relative_to(REPO).as_posix()
        for folder in ("ns_eval", *PLUGINS)
        for path in modules(folder)
        if library in {name.partition(".")[0] for name in imports(path)}
    }
    assert users <= OWNERS[library]


def is_module(name: str) -> bool:
    return (REPO / "ns_eval" / f"{name}.py").exists() or (REPO / "ns_eval" / name).is_dir()


def test_no_module_beside_the_dashboard_s_script_hides_one_of_python() -> None:
    """Streamlit puts the folder of its script first on the path."""
    beside = {path.stem for path in (REPO / "summarize" / "pages").glob("*.py")} - {"__init__"}
    assert not beside & sys.stdlib_module_names
