"""Where shipped and a user's own YAML and data lie, and how a name becomes one of them."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ns_eval.errors import NsError, UsageError, suggest

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parent
# A user's own conf folders (`hydra.searchpath=[file:///my/conf]`), searched before the shipped one.
_own: list[Path] = []


def folder(name: str) -> Path:
    """The shipped folder `name` (conf, cluster_configs, shipped): inside the package in a wheel, beside it in a checkout."""
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise NsError(
        f"the shipped folder `{name}` is missing from the installation in {_PACKAGE}",
        hint="pip install --force-reinstall ns-eval",
    )


def add_conf_folder(path: Path) -> None:
    """Looks names up in `path` too, before the shipped conf/; what that hides is said."""
    if not path.is_dir():
        raise UsageError(f"hydra.searchpath: {path} is not a folder")
    if path in _own:
        return
    for _, file in _yaml_below(path):
        if (folder("conf") / file.relative_to(path)).is_file():
            logger.warning("%s is used in place of the shipped one of that name", file)
    _own.append(path)


def conf_folders() -> list[Path]:
    """The folders that hold config groups, in the order in which they win."""
    return [*_own, folder("conf")]


def conf_names(group: str) -> dict[str, Path]:
    """Every name of a group and its file; `generic/math` for a file one folder down."""
    return {name: path for base in reversed(conf_folders()) for name, path in _yaml_below(base / group)}


def conf_file(group: str, name: str) -> Path:
    """The file of `name` in a group; a path that ends in .yaml is itself.

    Raises:
        UsageError: there is none; with the nearest names.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise UsageError(f"{group} file {name} does not exist")
        return Path(name)
    for base in conf_folders():
        path = base / group / f"{name}.yaml"
        if path.is_file():
            return path
    raise UsageError(f"unknown {group} `{name}`, {suggest(name, conf_names(group))}", hint=f"ns show {group}s")


def _yaml_below(base: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(base.rglob("*.yaml")):
        yield path.relative_to(base).with_suffix("").as_posix(), path


def locate(target: str) -> Any:
    """The object that `module:name`, a dotted `module.name` (`_target_` in conf/) or `path/to/file.py::name` means.

    Raises:
        UsageError: it cannot be imported; names every installed distribution that claims the top-level package, because
            another one on the index also installs a package `judges`.
    """
    if "::" in target:
        return _from_file(*target.rsplit("::", 1))
    module, _, name = target.partition(":") if ":" in target else target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        top = module.partition(".")[0]
        owners = importlib.metadata.packages_distributions().get(top, [])
        claimed = f"; `{top}` is installed by {', '.join(sorted(set(owners)))}" if owners else ""
        raise UsageError(f"cannot load `{target}`: {error}{claimed}") from error


def _from_file(path: str, name: str) -> Any:
    """A class of a user's own file, which need not lie in any package."""
    if not Path(path).is_file():
        raise UsageError(f"`{path}::{name}`: there is no such file")
    spec = importlib.util.spec_from_file_location(f"ns_eval_own_{Path(path).stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up there.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:  # the border to code that is not ours
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, AttributeError) and not hasattr(module, name):
            why = suggest(name, [item for item in vars(module) if not item.startswith("_")])
        raise UsageError(f"cannot load `{path}::{name}`: {why}") from error
