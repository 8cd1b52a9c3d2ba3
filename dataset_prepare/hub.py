"""Files of a Hugging Face dataset at one commit; owns huggingface_hub."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dataset_prepare.sources import PrepareSource, SplitSource
from ns_eval.errors import DataError

T = TypeVar("T")
# Where the hub keeps its own Parquet copy of every public dataset, also of those that only a script can load.
CONVERTED = "refs/convert/parquet"


class NoRevisionError(DataError):
    """The dataset is there, this branch, tag or commit of it is not."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a dataset's repository holds at `commit`."""

    commit: str
    files: tuple[str, ...]


def download(source: PrepareSource, name: str, split: SplitSource) -> tuple[str, list[tuple[str, Path]]]:
    """(commit, [(configuration, file)]) of one split, kept in the hub's own cache.

    Raises:
        DataError: gated and no token, no such dataset or revision, no file of that split, no network.
    """
    if source.gated and not _has_token():
        raise DataError(
            f"{source.id} is gated, and there is no token in HF_TOKEN",
            hint=f"accept its terms on https://huggingface.co/datasets/{source.id}, then export HF_TOKEN=hf_…",
        )
    listing = list_files(source.id, source.revision or None)
    chosen = choose(listing.files, source.configs, name, split)
    if not chosen and not source.revision:
        with contextlib.suppress(NoRevisionError):
            listing = list_files(source.id, CONVERTED)
            chosen = choose(listing.files, source.configs, name, split)
    if not chosen:
        found = ", ".join(sorted(listing.files)[:12]) or "nothing"
        wanted = ", ".join(split.files) or f"Parquet of {', '.join(source.configs) or 'default'}/{name}"
        raise DataError(
            f"{source.id} has no file of split `{name}` at {listing.commit[:12]}: expected {wanted}, found {found}",
            hint="download it by hand and give the file with --source=PATH",
        )
    return listing.commit, [(config, _fetch(source.id, file, listing.commit)) for config, file in chosen]


def list_files(dataset: str, revision: str | None) -> Listing:
    """The file names of a dataset at a revision, and the commit that revision is now."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    info = _asked(dataset, revision, lambda: api.dataset_info(dataset, revision=revision, timeout=30))
    return Listing(info.sha or "", tuple(item.rfilename for item in info.siblings or ()))


def choose(files: Sequence[str], configs: Sequence[str], name: str, split: SplitSource) -> list[tuple[str, str]]:
    """(configuration, file) of every file of a split: those its YAML names, else the hub's usual places, in order.

    A `partial-` folder of the converted branch holds the first part of a large split only: it is never taken.
    """
    if split.files:
        return [("default", file) for pattern in split.files for file in sorted(fnmatch.filter(files, pattern))]
    return [(config, file) for config in configs or ["default"] for file in _of_config(files, config, name)]


def _of_config(files: Sequence[str], config: str, name: str) -> list[str]:
    patterns = [f"{config}/{name}-*.parquet", f"{config}/{name}/*.parquet", f"{config}/{name}.parquet"]
    if config == "default":
        patterns += [f"data/{name}-*.parquet", f"data/{name}.parquet", f"{name}-*.parquet", f"{name}.parquet"]
        patterns += [f"{folder}{name}.{ending}" for ending in ("jsonl", "json", "csv") for folder in ("", "data/")]
    for pattern in patterns:
        found = sorted(fnmatch.filter(files, pattern))
        if found:
            return found
    return []


def _fetch(dataset: str, file: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download

    def ask() -> str:
        return hf_hub_download(
            dataset, file, repo_type="dataset", revision=commit, endpoint=os.environ.get("HF_ENDPOINT"), etag_timeout=30
        )

    return Path(_asked(dataset, commit, ask))


def _asked(dataset: str, revision: str | None, ask: Callable[[], T]) -> T:
    """What the hub answers; each way it fails is one sentence."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/datasets/{dataset}"
    # Transport errors are OSError in huggingface_hub 0.x, and its HTTP library's own from 1.0 on.
    bases = errors.HfHubHTTPError.__bases__
    failures: tuple[type[Exception], ...] = (OSError, *(base for base in bases if issubclass(base, Exception)))
    try:
        return ask()
    except errors.GatedRepoError as error:
        raise DataError(
            f"{dataset} is gated, and "
            + ("your HF_TOKEN has no access" if _has_token() else "there is no token in HF_TOKEN"),
            hint=f"accept its terms on {page}, then export HF_TOKEN=hf_…",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NoRevisionError(f"{dataset} has no revision `{revision}` on the hub", hint=f"see {page}") from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"{dataset} is not on the hub, or private", hint="check the id at " + page + "; a private one needs HF_TOKEN"
        ) from error
    except errors.HfHubHTTPError as error:
        raise DataError(f"the hub answered {error.response.status_code} for {dataset}", hint=_elsewhere(dataset)) from error
    except failures as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot reach the hub for {dataset}: {reason}", hint=_elsewhere(dataset)) from error


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())


def _elsewhere(dataset: str) -> str:
    return f"with no network: get {dataset} on another machine, copy its files here and give the folder with --source=PATH"
