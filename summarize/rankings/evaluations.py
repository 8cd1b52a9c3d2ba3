"""What is ranked: evaluations, from run folders, globs of them, or a dataset file that lists them."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns_eval import manifest
from ns_eval.config import ModelConfig, PriceConfig
from ns_eval.errors import DataError, NsError, UsageError
from ns_eval.resources import conf_names
from ns_eval.schema import build, load_yaml, refuse_unknown
from summarize.discover import Found, discover
from summarize.results import run_labels

_FILES = (".json", ".yaml", ".yml")


@dataclass
class EvaluationConfig:
    """One evaluation of a dataset file."""

    results: list[str] = field(default_factory=list)
    """Run folders, or folders of one benchmark each; globs, relative to the dataset file."""
    label: str = ""
    """What tables call it. Default: the model."""
    model: str = ""
    """The model's name. Default: the label."""
    template: str = ""
    """The prompt or chat template it was asked with."""
    sampler: str = ""
    """How its answers were sampled."""
    groups: list[str] = field(default_factory=list)
    """facet:value, such as family:llama or size:large."""
    tags: list[str] = field(default_factory=list)
    """Free words."""
    hf_id: str | None = None
    """Its id on the hub."""
    eval_id: int | None = None
    """Its number. Default: its place in the file, from 0."""
    parameters: float | None = None
    """Billions of parameters."""
    price: PriceConfig = field(default_factory=PriceConfig)
    """What a million tokens cost."""


@dataclass
class DatasetConfig:
    """A dataset file; a bare list is its `evals`."""

    name: str = ""
    """What the dataset is called."""
    about: str = ""
    """One line."""
    evals: list[EvaluationConfig] = field(default_factory=list)
    """The evaluations."""
    chance: dict[str, float] = field(default_factory=dict)
    """Task -> the score of guessing, where conf/benchmark does not know it."""
    tiers: dict[str, Any] = field(default_factory=dict)
    """Task -> its tier, or subset -> tier: as in conf/tier."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model, asked in one way. `eval_hash` is the same wherever it stands in whichever list."""

    eval_id: int
    eval_hash: str
    label: str
    model: str
    template: str
    sampler: str
    groups: tuple[str, ...]
    tags: tuple[str, ...]
    hf_id: str | None
    parameters: float | None
    price: PriceConfig
    benchmarks: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """All evaluations of a call, and what a dataset file says of its tasks."""

    evaluations: tuple[Evaluation, ...]
    chance: Mapping[str, float]
    tiers: Mapping[str, Any]


def load(data: Sequence[str]) -> Dataset:
    """The evaluations that the arguments name.

    Raises:
        UsageError: nothing named, a dataset file among folders, an unknown key.
        DataError: a path that is not there, two evaluations with one id, two results of one task.
    """
    if not data:
        raise UsageError(
            "which evaluations?", hint="ns evals RUN… takes run folders, globs, or a dataset file (.json, .yaml)"
        )
    files = [item for item in data if item.endswith(_FILES)]
    if files and len(data) > 1:
        raise UsageError(f"{files[0]}: a dataset file stands alone", hint="name run folders, or list them all in the file")
    dataset = _from_file(Path(files[0])) if files else Dataset(tuple(_from_folders(data)), {}, {})
    _refuse_twins(dataset.evaluations)
    return dataset


def _from_file(path: Path) -> Dataset:
    values = _values(path)
    for number, item in enumerate(values.get("evals") or []):
        refuse_unknown(EvaluationConfig, item, f"{path}: evaluation {number}")
    config = build(DatasetConfig, values, str(path))
    if not config.evals:
        raise DataError(f"{path}: it lists no evaluations", hint="evals: [{label: …, results: [RUN]}]")
    made = [_listed(number, listed, path) for number, listed in enumerate(config.evals)]
    return Dataset(tuple(made), config.chance, config.tiers)


def _values(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such dataset file")
    if path.suffix != ".json":
        values: Any = load_yaml(path) if not _is_list(path) else {"evals": _yaml_list(path)}
    else:
        try:
            values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {error}") from error
    values = {"evals": values} if isinstance(values, list) else values
    if not isinstance(values, dict) or not all(isinstance(item, dict) for item in values.get("evals") or []):
        raise DataError(f"{path}: expected a list of evaluations, or {{evals: […]}}", hint="docs/rankings.md shows one")
    # A single path may stand where a list is expected.
    for item in values.get("evals") or []:
        if isinstance(item.get("results"), str):
            item["results"] = [item["results"]]
    return values


def _is_list(path: Path) -> bool:
    return path.read_text(encoding="utf-8").lstrip().startswith("-")


def _yaml_list(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _listed(number: int, item: EvaluationConfig, path: Path) -> Evaluation:
    label = item.label or item.model
    where = f"{path}: evaluation {number}{f' (`{label}`)' if label else ''}"
    if not label:
        raise DataError(f"{where} has neither label nor model")
    if not item.results:
        raise DataError(f"{where} names no results", hint="results: [a run folder, or a glob of them]")
    folders = [found for pattern in item.results for found in _expand(pattern, path.parent, where)]
    groups = _checked(item.groups, where)
    model = item.model or label
    return Evaluation(
        eval_id=number if item.eval_id is None else item.eval_id,
        eval_hash=_hash(model, item.template, item.sampler),
        label=label,
        model=model,
        template=item.template,
        sampler=item.sampler,
        groups=groups,
        tags=tuple(item.tags),
        hf_id=item.hf_id,
        parameters=item.parameters,
        price=item.price,
        benchmarks=_benchmarks(folders, where),
    )


def _expand(pattern: str, base: Path, where: str) -> list[Path]:
    found = [Path(item) for item in sorted(glob.glob(str(base / pattern)))]  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        raise DataError(f"{where}: nothing is at {base / pattern}")
    return found


def _benchmarks(folders: Iterable[Path], where: str) -> tuple[Found, ...]:
    named: dict[str, Found] = {}
    for folder in folders:
        for item in discover(folder).benchmarks:
            if item.name in named:
                raise DataError(
                    f"{where} has two results of `{item.name}`: {named[item.name].folder} and {item.folder}",
                    hint="name one of them, or make them two evaluations",
                )
            named[item.name] = item
    return tuple(named[name] for name in sorted(named))


def _checked(groups: Iterable[str], where: str) -> tuple[str, ...]:
    for group in groups:
        facet, colon, value = group.partition(":")
        if not (facet and colon and value):
            raise DataError(f"{where}: group `{group}` is not of the form facet:value, such as size:large")
    return tuple(dict.fromkeys(groups))


def _from_folders(data: Sequence[str]) -> Iterable[Evaluation]:
    paths = sorted({path for item in data for path in _runs(item)})
    known = conf_names("model")
    for number, (path, label) in enumerate(zip(paths, run_labels(paths), strict=True)):
        settings = _settings(path)
        model = str(settings.get("model") or label)
        entry = _entry(model) if model in known else None
        template = str(settings.get("prompt_template") or settings.get("prompt_config") or "")
        sampler = _sampler(settings.get("inference"))
        given = [str(group) for group in settings.get("groups") or ()]
        yield Evaluation(
            eval_id=number,
            # Two runs of one model are two evaluations: their label tells them apart.
            eval_hash=_hash(model, template, sampler, label),
            label=label,
            model=model,
            template=template,
            sampler=sampler,
            groups=_checked([*given, *_entry_groups(entry)], str(path)),
            tags=(),
            hf_id=None,
            parameters=entry.parameters if entry is not None else None,
            price=entry.price if entry is not None else PriceConfig(),
            benchmarks=discover(path).benchmarks,
        )


def _runs(pattern: str) -> list[Path]:
    """The run folders at a path or glob; a folder that holds one run folder a model stands for those."""
    found = [Path(item) for item in sorted(glob.glob(pattern))]  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not found:
        raise DataError(f"nothing is at {pattern}", hint="ns evals takes run folders, globs of them, or a dataset file")
    runs: list[Path] = []
    # Of what a glob finds, files are none.
    for path in found if found == [Path(pattern)] else [path for path in found if path.is_dir()]:
        below = sorted(child.parent for child in path.glob("*/eval-results"))
        runs += below if below and not (path / "eval-results").is_dir() else [path]
    return runs


def _settings(run: Path) -> Mapping[str, Any]:
    """The settings of the last command that evaluated into this folder; empty for others' folders."""
    with contextlib.suppress(NsError):
        return next((entry.config for entry in reversed(manifest.read(run).commands) if entry.benchmarks), {})
    return {}


def _sampler(inference: Mapping[str, Any] | None) -> str:
    chosen = {name: value for name, value in (inference or {}).items() if value not in (None, {}, [])}
    return ",".join(f"{name}={value}" for name, value in sorted(chosen.items()))


def _entry(model: str) -> ModelConfig | None:
    from ns_eval.models import find

    return find(model)


def _entry_groups(entry: ModelConfig | None) -> list[str]:
    from ns_eval.catalogue.entries import groups

    return [] if entry is None else groups(entry)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]


def _refuse_twins(evaluations: Sequence[Evaluation]) -> None:
    seen: dict[object, Evaluation] = {}
    for item in evaluations:
        for key in (item.eval_id, item.eval_hash):
            if key in seen:
                raise DataError(
                    f"two evaluations have the id {key}: `{seen[key].label}` and `{item.label}`",
                    hint="an evaluation is a model, a template and a sampler: let one of them differ, or list all results "
                    "of one evaluation in one `results`",
                )
            seen[key] = item


def described(item: Evaluation) -> dict[str, Any]:
    """What a listing says of an evaluation, without its results."""
    found = {name: getattr(item, name) for name in ("eval_id", "eval_hash", "label", "model", "template", "sampler")}
    rest = {"groups": list(item.groups), "tags": list(item.tags), "hf_id": item.hf_id}
    return found | rest | {"price": dataclasses.asdict(item.price), "parameters": item.parameters}
