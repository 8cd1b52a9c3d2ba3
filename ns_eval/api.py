"""The commands as functions: the same names for the same settings, typed results, errors as `NsError`. docs/python.md

Nothing of this is imported before it is used: `from ns_eval import evaluate` costs what `ns --help` costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ns_eval import manifest
from ns_eval.cli import COMMANDS, configured
from ns_eval.errors import JobError
from ns_eval.records import Sample, read_jsonl, sample_from_row
from ns_eval.resources import locate

if TYPE_CHECKING:
    from ns_eval.manifest import Manifest

# What an option may be: `inference={"temperature": 0.6}` is `++inference.temperature=0.6`, a list is written with commas.
Option: TypeAlias = str | int | float | bool | Path | Sequence[Any] | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A run folder. `folders` holds one run folder a model: itself, or the base's and those of its adapters. `printed` is
    what the command writes to stdout: its tables."""

    path: Path
    folders: tuple[Path, ...]
    printed: str = ""

    @property
    def manifest(self) -> Manifest:
        """Which commands made it, with what settings, code and machines."""
        return manifest.read(self.path)

    def samples(self, benchmark: str | None = None) -> Iterator[Sample]:
        """Every finished answer with its question and verdicts, folder by folder."""
        for folder in self.folders:
            found = folder.glob(f"eval-results/{benchmark or '*'}/output*.jsonl")
            for path in sorted(found) or sorted(folder.glob("output*.jsonl")):
                yield from (sample_from_row(row) for _, row in read_jsonl(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})\n{self.printed}"


def evaluate(model: str, benchmarks: str | Sequence[str], output_dir: str | Path, **options: Option) -> Run:
    """`ns eval`: answers of a model to benchmarks, graded. Called again it goes on where it stopped.

    Raises:
        NsError: what the command would say; CoverageError where less than min_coverage is graded.
    """
    named = {"model": model, "benchmarks": benchmarks, "output_dir": output_dir}
    return _run("eval", Path(output_dir), {**named, **options})


def generate(model: str, output_dir: str | Path, **options: Option) -> Run:
    """`ns generate`: an answer for every row of `input_file`, or a model's judgement of a run.

    Raises:
        NsError: what the command would say.
    """
    return _run("generate", Path(output_dir), {"model": model, "output_dir": output_dir, **options})


def convert(input_model: str | Path, output_model: str | Path, convert_to: str = "gguf", **options: Option) -> Path:
    """`ns convert`: a checkpoint in another form, or merged with an adapter; returns where it lies.

    Raises:
        NsError: what the command would say.
    """
    named = {"input_model": input_model, "output_model": output_model, "convert_to": convert_to}
    call("convert", {**named, **options})
    return Path(output_model)


def call(command: str, options: Mapping[str, Option], names: Sequence[str] = ()) -> str:
    """Runs a command of the table and returns what it prints; `names` are its arguments without a key.

    Raises:
        NsError: what the command would say.
    """
    words = [*names, *words_of(options)]
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _called(command, words)
    # A notebook has an event loop running in this thread, beside which a command cannot run its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_called, command, words).result()


def _called(command: str, words: list[str]) -> str:
    spoken = manifest.SPOKEN.set([command, *words])
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            code = int(locate(COMMANDS[command].run)(configured(command, words)) or 0)
    finally:
        manifest.SPOKEN.reset(spoken)
    if code:
        raise JobError(f"ns {command} ended with {code}: {told.getvalue()[-300:]}")
    return told.getvalue()


def words_of(options: Mapping[str, Option], prefix: str = "") -> list[str]:
    """Options as the words of a command line; None is left out."""
    words: list[str] = []
    for key, value in options.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            words += words_of(value, f"{name}.")
        elif value is not None:
            shown = _shown(value)
            words.append(f"++{name}={shown}" if "." in name else f"--{name}={shown}")
    return words


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_shown, value))
    return str(value)


def _run(command: str, output_dir: Path, options: Mapping[str, Option]) -> Run:
    printed = call(command, options)
    below = [output_dir / name for entry in manifest.read(output_dir).commands[-1:] for name in entry.folders]
    return Run(output_dir, tuple(below) or (output_dir,), printed)
