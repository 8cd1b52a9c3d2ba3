"""Where shipped files lie: inside the package (wheel), else beside it (checkout)."""

from __future__ import annotations

from pathlib import Path

from ns_eval.errors import NsError

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The shipped folder `name`: conf, cluster_configs or shipped."""
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise NsError(
        f"the shipped folder `{name}` is missing from the installation in {_PACKAGE}",
        hint="pip install --force-reinstall ns-eval",
    )
