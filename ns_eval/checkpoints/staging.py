"""The place a conversion is built in: checked first, filled by steps that resume, and renamed when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import processes
from ns_eval.checkpoints.checkpoint import MANIFEST, Checkpoint
from ns_eval.checkpoints.tensor_files import json_object
from ns_eval.checkpoints.weights import copy_rest
from ns_eval.errors import DataError, JobError, NsError, UsageError
from ns_eval.files import replacing, write_text
from ns_eval.records import Json

log = logging.getLogger(__name__)

LOGS = "conversion-logs"
_PROGRESS = "ns_convert.progress.json"
_SPARE_BYTES = 64 * 2**20  # of free disk below which a failed write is put down to a full disk


@dataclass(frozen=True, slots=True)
class Step:
    """One stage. `action` returns what is worth recording; what it left half-made when it was killed it must make anew."""

    name: str
    about: str
    action: Callable[[], Mapping[str, Json] | None]
    argv: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Building:
    """An output and what makes it. `facts` begin the manifest; `fingerprint` is of all that shapes the result.

    `product` is the file that becomes the output, where that is a file; `scratch` are folders that only the steps need.
    """

    output: Path
    fingerprint: str
    steps: tuple[Step, ...]
    facts: Mapping[str, Json]
    product: Path | None = None
    scratch: tuple[Path, ...] = field(default=())

    @property
    def partial(self) -> Path:
        return partial(self.output)


def partial(output: Path) -> Path:
    """Where an output is built."""
    return output.with_name(output.name + ".partial")


def record_of(output: Path) -> dict[str, Json]:
    """The manifest of a conversion's output; empty where none lies there."""
    record = output / MANIFEST if output.is_dir() else _manifest_beside(output)
    return json_object(record) if record.is_file() else {}


def made(output: Path, fingerprint: str) -> dict[str, Json] | None:
    """The manifest of the same conversion, where it has been done already; None where nothing stands there.

    Raises:
        UsageError: something else does.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    found = record_of(output)
    if found.get("fingerprint") == fingerprint:
        return found
    was = "was converted with other settings, or from another model" if found else "exists"
    raise UsageError(f"--output_model={output} {was}", hint=f"give another name, or remove it: rm -r {output}")


def forget(output: Path) -> None:
    """Removes what an earlier try has left."""
    if (partial(output) / _PROGRESS).is_file():
        shutil.rmtree(partial(output))


def check_room(output: Path, needed_bytes: int) -> None:
    """Refuses to begin where the folder cannot be written, or the disk would become full.

    Raises:
        UsageError: no permission.
        DataError: too little room; what an earlier try has left counts as room.
    """
    place = output.absolute().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "cannot write into it" if place.is_dir() else "it is a file"
        raise UsageError(f"--output_model={output}: nothing can be made in {place}, {why}")
    held = sum(file.stat().st_size for file in partial(output).rglob("*") if file.is_file() and file.stat().st_nlink == 1)
    free = shutil.disk_usage(place).free + held
    if free < needed_bytes:
        raise DataError(
            f"--output_model={output}: the conversion needs {_size(needed_bytes)}, and {place} has {_size(free)} free",
            hint="free some room, or give another --output_model",
        )


def run(building: Building) -> dict[str, Json]:
    """Passes the steps that are left and puts the output in its place; returns the manifest.

    Raises:
        NsError: a step failed. What is done stays in `<output>.partial`, and the same command goes on there.
    """
    folder = building.partial
    with _full_disk_told(folder, "at the beginning"):
        done = _resumed(folder, building.fingerprint)
    for step in building.steps:
        if step.name in done:
            log.info("%s: done already", step.name)
            continue
        log.info("%s", step.about)
        begun = time.monotonic()
        with _full_disk_told(folder, f"in step `{step.name}`"):
            found = dict(step.action() or {})
            record: dict[str, Json] = {"seconds": round(time.monotonic() - begun, 2), "found": found}
            done[step.name] = record | ({"argv": list(step.argv)} if step.argv else {})
            _write_json(folder / _PROGRESS, {"fingerprint": building.fingerprint, "done": done})
    manifest = {**building.facts, "fingerprint": building.fingerprint, "made": time.time(), "steps": done}
    with _full_disk_told(folder, "at the end"):
        _publish(building, manifest)
    return manifest


@contextlib.contextmanager
def _full_disk_told(folder: Path, when: str) -> Iterator[None]:
    """Tells a full disk as one, whatever library ran into it."""
    try:
        yield
    except NsError:
        raise
    except Exception as error:  # torch, safetensors and numpy each have their own way to say it
        if _disk_is_full(error, folder.parent):
            raise DataError(
                f"the disk of {folder} is full, {when}",
                hint=f"free some room and give the same command again: it goes on. Or give up: rm -r {folder}",
            ) from error
        raise


def _disk_is_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left" in str(error) or shutil.disk_usage(folder).free < min(_SPARE_BYTES, _room_when_empty(folder))


def _room_when_empty(folder: Path) -> int:
    return shutil.disk_usage(folder).total // 20


def command(argv: Sequence[str], log_file: Path, produces: Path) -> None:
    """Runs one command, its output in `log_file`; it and all it started end with us.

    Raises:
        JobError: it failed, or did not make the file `produces`.
    """
    code, last = asyncio.run(_command(argv, log_file))
    if code == 0 and produces.exists():
        return
    ended = f"ended with exit code {code}" if code else f"made no {produces}"
    hint = f"the whole log: {log_file}"
    free = shutil.disk_usage(log_file.parent).free
    if code and free < min(_SPARE_BYTES, _room_when_empty(log_file.parent)):
        raise DataError(f"the disk of {log_file.parent} is full, and {Path(argv[0]).name} {ended}: {last}", hint=hint)
    raise JobError(f"{_tool(argv)} {ended}: {last}", hint=hint)


async def _command(argv: Sequence[str], log_file: Path) -> tuple[int, str]:
    child = await processes.start(argv, {}, log_file)
    try:
        code = await child.ended()
    finally:
        await child.stop()
    return code, child.last_error()


def _tool(argv: Sequence[str]) -> str:
    return next((Path(word).name for word in argv[:2] if word.endswith(".py")), Path(argv[0]).name)


def stage(source: Checkpoint, target: Path, *, link: bool) -> dict[str, Json]:
    """The checkpoint once more: hard links to the weights where the disk allows, copies else; everything small is copied."""
    target.mkdir(parents=True, exist_ok=True)
    copy_rest(source.path, target)
    linked = 0
    indexes = sorted(source.path.glob("*.index.json"))
    for file in (*source.weights, *indexes):
        place = target / file.name
        if place.exists() and place.stat().st_size == file.stat().st_size:
            continue
        if link and file in source.weights and _linked(file.resolve(), place):
            linked += 1
            continue
        with replacing(place) as out, file.open("rb") as data:
            shutil.copyfileobj(data, out, 16 * 2**20)
    return {"files": len(source.weights), "linked": linked}


def same_disk(path: Path, output: Path) -> bool:
    """Whether a hard link from one to the other is likely to work."""
    place = output.absolute().parent
    while not place.exists():
        place = place.parent
    return path.resolve().stat().st_dev == place.stat().st_dev


def _linked(file: Path, place: Path) -> bool:
    try:
        place.hardlink_to(file)
    except OSError:
        return False  # another disk, a file of somebody else, a file system without links: a copy does as well
    return True


def _resumed(folder: Path, fingerprint: str) -> dict[str, Json]:
    """The steps that an earlier try of the same conversion has passed; what another one left is removed."""
    progress = folder / _PROGRESS
    if progress.is_file():
        with contextlib.suppress(DataError):
            written = json_object(progress)
            if written.get("fingerprint") == fingerprint:
                _sweep(folder)
                return dict(written["done"])
    if progress.is_file():
        log.warning("%s is left of another conversion: it is removed", folder)
        shutil.rmtree(folder)
    elif folder.exists() and any(file.name != LOGS for file in folder.iterdir()):
        raise UsageError(f"{folder} is in the way, and no conversion made it", hint="move it away, or convert elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(progress, {"fingerprint": fingerprint, "done": {}})
    return {}


def _sweep(folder: Path) -> None:
    """Removes the half-written files of a try that was killed: ours, and those of the safetensors library."""
    for pattern in ("*.partial", ".tmp*"):
        for file in folder.rglob(pattern):
            file.unlink(missing_ok=True)


def _publish(building: Building, manifest: Mapping[str, Json]) -> None:
    folder, output = building.partial, building.output
    for scratch in building.scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    (folder / _PROGRESS).unlink(missing_ok=True)
    mask = os.umask(0)
    os.umask(mask)
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_nlink == 1:
            # The safetensors library makes its files readable for their owner alone.
            file.chmod(0o666 & ~mask)
            with file.open("rb") as written:
                os.fsync(written.fileno())
    if building.product is not None:
        _write_json(_manifest_beside(output), manifest)
        building.product.replace(output)
        shutil.rmtree(folder)
        return
    _write_json(folder / MANIFEST, manifest)
    if output.is_dir():
        output.rmdir()
    folder.rename(output)


def _manifest_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.{MANIFEST}")


def _write_json(path: Path, values: Mapping[str, Json]) -> None:
    write_text(path, json.dumps(values, indent=2) + "\n")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
