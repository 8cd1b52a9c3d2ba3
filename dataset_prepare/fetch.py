"""The files of a split: from the hub, from a repository at a commit, or from where the user says they are."""

from __future__ import annotations

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dataset_prepare import hub
from dataset_prepare.readers import format_of
from dataset_prepare.sources import PrepareSource, SplitSource, upstream_name
from ns_eval.errors import DataError
from ns_eval.files import replacing, sha256

TIMEOUT_S = 60
CHUNK_BYTES = 1 << 20
_READABLE = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".gz", ".xml")
_NO_ROWS = re.compile(r"^[._]|^(state|dataset_info|dataset_dict)\.json$|\.origin\.json$")
_PREFERRED = ("parquet", "arrow", "jsonl", "json", "csv", "tsv")
_SPELLINGS = {"validation": ("val", "valid", "dev")}


@dataclass(frozen=True, slots=True)
class Fetched:
    """(hub configuration, file) of one split; `ids` is the file that lists its ids, where the split needs that."""

    files: tuple[tuple[str, Path], ...]
    revision: str
    ids: Path | None = None


@contextlib.contextmanager
def fetched(source: PrepareSource, name: str, folder: Path) -> Iterator[Fetched]:
    """Brings the files of split `name` from its declared place; what is downloaded into `folder` is removed at the end.

    Raises:
        DataError: no network, no such file, a file whose digest is not the declared one.
    """
    split = source.splits[name]
    if source.kind == "hub":
        commit, found = hub.download(source, upstream_name(name, split), split)
        yield Fetched(tuple(found), commit)
    elif source.kind == "local":
        yield local(Path(source.id).expanduser(), source, name)
    else:
        kept: list[Path] = []
        try:
            for file, digest in zip(split.files, split.sha256 or [""] * len(split.files), strict=True):
                kept.append(_download(source, file, folder))
                _check_digest(kept[-1], digest, f"{source.id} {file} at {source.revision or 'its newest commit'}")
            files = [("default", path) for path in kept]
            if split.ids:
                kept.append(_download(source, split.ids, folder))
            yield Fetched(tuple(files), source.revision, kept[-1] if split.ids else None)
        finally:
            for path in kept:
                path.unlink(missing_ok=True)


def local(path: Path, source: PrepareSource, name: str) -> Fetched:
    """The files of split `name` at a path of the user's, in the upstream's own format; none is no error here."""
    split = source.splits[name]
    return Fetched(tuple(("default", file) for file in _local_files(path, split, name)), "", _local_ids(path, split))


def _local_files(path: Path, split: SplitSource, name: str) -> list[Path]:
    if path.is_file():
        return [path]
    for pattern in split.files:
        found = _below(path, pattern)
        if found:
            return found
    return _by_split_name(path, upstream_name(name, split))


def _below(folder: Path, pattern: str) -> list[Path]:
    """Files that a repository path means in a local folder, which may be a copy of any part of that repository."""
    parts = PurePosixPath(pattern).parts
    for start in range(len(parts)):
        found = sorted(item for item in folder.glob("/".join(parts[start:])) if item.is_file())
        if found:
            return _one_format(found)
    return []


def _by_split_name(folder: Path, name: str) -> list[Path]:
    """`test.jsonl`, `test-00000-of-00001.parquet` or `test/…`, here or in `data/`."""
    for known in (name, *_SPELLINGS.get(name, ())):
        for base in (folder, folder / "data"):
            rows = [item for item in sorted(base.glob(f"{known}*")) if _is_split(item, known)]
            rows = _one_format(rows or _rows_in(base / known))
            if rows:
                return rows
    return []


def only_file(folder: Path) -> Path | None:
    """The one file of rows in a folder (what `datasets.save_to_disk` wrote in one piece, for one); None of several."""
    files = _rows_in(folder)
    return files[0] if len(files) == 1 else None


def _rows_in(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    return [item for item in files if item.suffix in _READABLE and item.is_file() and not _NO_ROWS.search(item.name)]


def _one_format(files: list[Path]) -> list[Path]:
    """The same rows often lie there twice, as Parquet and as JSON lines: of several formats one is read."""
    formats = {format_of(item) for item in files}
    chosen = next((kind for kind in _PREFERRED if kind in formats), None)
    return files if chosen is None else [item for item in files if format_of(item) == chosen]


def _is_split(path: Path, name: str) -> bool:
    follows = path.name[len(name) : len(name) + 1]
    known = path.suffix in _READABLE and not _NO_ROWS.search(path.name)
    return path.is_file() and known and follows in (".", "-", "_")


def _local_ids(path: Path, split: SplitSource) -> Path | None:
    if not split.ids:
        return None
    folder = path if path.is_dir() else path.parent
    found = _below(folder, split.ids)
    if not found:
        raise DataError(f"{folder} has no {PurePosixPath(split.ids).name}, which lists the ids of the split")
    return found[0]


def _download(source: PrepareSource, path: str, folder: Path) -> Path:
    url = address(source, path)
    target = folder / f".download-{PurePosixPath(path).name}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply, replacing(target) as file:
            while chunk := reply.read(CHUNK_BYTES):
                file.write(chunk)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url} answered {error.code} {error.reason}", hint=_by_hand(path)) from error
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"cannot fetch {url}: {reason}", hint=_by_hand(path)) from error
    return target


def address(source: PrepareSource, path: str) -> str:
    """Where a file of a repository is served at the declared commit; below any other address, the file itself."""
    repository = source.id.removeprefix("https://github.com/")
    if repository != source.id:
        return f"https://raw.githubusercontent.com/{repository}/{source.revision or 'HEAD'}/{path}"
    return f"{source.id.rstrip('/')}/{path}"


def _check_digest(path: Path, expected: str, what: str) -> None:
    if expected and sha256(path) != expected:
        raise DataError(
            f"{what} has sha256 {sha256(path)[:16]}…, expected {expected[:16]}…: it is not the file that was declared",
            hint="give a copy that you trust with --source=PATH",
        )


def _by_hand(path: str) -> str:
    return f"get {PurePosixPath(path).name} on a machine with network and give it with --source=PATH"
