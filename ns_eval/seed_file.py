"""The samples of one benchmark and one seed on disk: append, repair, finish, what is left.

A process that is killed at any instant loses the requests in flight and nothing else: a line is written by one call, and a
torn last line is cut off when the file is opened again. An answer is written before it is graded, and again when it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from ns_eval.errors import DataError
from ns_eval.files import replacing
from ns_eval.records import Generation, Sample, dumps, loads, sample_from_row, sample_row


class _Extended(msgspec.Struct):
    """That a sample was asked again with more room, up to so many tokens."""

    to: int


class _Meta(msgspec.Struct):
    extended: _Extended | None = None


class _Head(msgspec.Struct):
    """What resume needs of a line; the rest of it, up to megabytes of reasoning, is skipped unread."""

    id: str | int
    status: str = "ok"
    num_generated_tokens: int | None = None
    verdicts: dict[str, msgspec.Raw] | None = None
    generation_meta: _Meta | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class Line:
    """Where one sample stands on disk; `extended` is the limit that a truncated one was asked again with."""

    path: Path
    offset: int
    length: int
    status: str
    tokens: int | None
    judged: bool = False
    extended: int | None = None


def output_name(seed: int | None) -> str:
    """`output.jsonl` for the greedy answer, `output-rs<S>.jsonl` for a seed."""
    return "output.jsonl" if seed is None else f"output-rs{seed}.jsonl"


class SeedFile:
    """The samples of one benchmark and one seed on disk. One process writes it, or one process each chunk of it.

    What lies in any file of the seed is known. Whoever comes last puts them together: a chunk's writer only where no other
    one can have anything left to write. Where `judged`, a sample without a verdict is an answer that waits for one.
    With `longer`, a limit of tokens, only what was truncated below it is left to do.
    """

    def __init__(
        self, folder: Path, seed: int | None, chunk: int | None = None, *, judged: bool = False, longer: int | None = None
    ) -> None:
        self.seed = seed
        self._longer = longer
        self._judged = judged
        self.path = folder / output_name(seed)
        own = self.path.name if chunk is None else f"{self.path.stem}_chunk_{chunk}.jsonl"
        self._async = self.path.with_name(f"{own}-async")
        self._is_chunk = chunk is not None
        self._file: int | None = None
        self.lines: dict[str, Line] = {}

    @property
    def done_marker(self) -> Path:
        return self.path.with_name(self.path.name + ".done")

    def read(self) -> None:
        """Learns what is there. A later line of a question replaces an earlier one; a torn tail is cut."""
        _cut_torn_tail(self._async)
        while True:
            try:
                self.lines = {}
                for path in self._files():
                    self.lines.update(_lines(path))
            except FileNotFoundError:  # the writer of another chunk has just put the files together
                continue
            return

    def left(self, questions: Iterable[str]) -> list[str]:
        """The questions without a sample, or with one that failed; with `longer` those to ask with more room."""
        if self._longer is not None:
            return [name for name in questions if name in self.lines and _short(self.lines[name], self._longer)]
        return [name for name in questions if name not in self.lines or self.lines[name].status == "error"]

    def unjudged(self, questions: Iterable[str]) -> list[str]:
        """The questions whose answer is in progress without a verdict: a kill fell in between."""
        found = [(name, self.lines[name]) for name in questions if self._judged and name in self.lines]
        return [name for name, line in found if line.path != self.path and line.status != "error" and not line.judged]

    def kept(self, question: str) -> Generation | None:
        """The answer of such a question."""
        if not self.unjudged([question]):
            return None
        line = self.lines[question]
        with line.path.open("rb") as file:
            file.seek(line.offset)
            return sample_from_row(loads(file.read(line.length))).generation

    def _files(self) -> list[Path]:
        """The finished file, then those in progress, one's own last."""
        chunks = sorted(self.path.parent.glob(f"{self.path.stem}_chunk_*.jsonl-async"))
        in_progress = [*chunks, self.path.with_name(f"{self.path.name}-async")]
        others = [path for path in (self.path, *in_progress) if path != self._async and path.exists()]
        return [*others, *([self._async] if self._async.exists() else [])]

    def append(self, sample: Sample) -> None:
        """Writes one sample by one call."""
        line = dumps(sample_row(sample))
        if self._file is None:
            self._async.parent.mkdir(parents=True, exist_ok=True)
            self.done_marker.unlink(missing_ok=True)
            self._file = os.open(self._async, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        offset = os.fstat(self._file).st_size
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"{self._async}: {written} of {len(line)} bytes written: is the disk full?")
        tokens = sample.generation.completion_tokens
        extended = sample.generation.meta.get("extended")
        limit = extended["to"] if extended else None
        judged = bool(sample.verdicts)
        self.lines[sample.question.id] = Line(self._async, offset, len(line), sample.status, tokens, judged, limit)

    def finish(self, questions: Sequence[str]) -> None:
        """Replaces the finished file, in dataset order, and removes those in progress. `.done`: nothing failed.

        `questions` are those of the whole benchmark. A chunk's writer leaves its file where one of them is still open.
        """
        self.close()
        if self._is_chunk:
            self.read()
            if self.left(questions) or self.unjudged(questions):
                return
        # Lines of questions that this run does not ask (an earlier run without --max_samples) stay, behind the others.
        order = [*questions, *(name for name in self.lines if name not in set(questions))]
        in_progress = [path for path in self._files() if path != self.path]
        if in_progress:
            try:
                with replacing(self.path) as target:
                    _copy([self.lines[name] for name in order], target)
            except FileNotFoundError:
                self.read()
                if not self._is_chunk or self.left(questions):
                    raise
                return  # the writer of another chunk did the same a moment earlier
            for path in in_progress:
                path.unlink(missing_ok=True)
            self.read()
        if all(line.status != "error" for line in self.lines.values()):
            self.done_marker.touch()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def before_retry(folder: Path, seed: int | None) -> Path:
    """Where the lines of a seed stay that were asked again with more room."""
    return folder / output_name(seed).replace(".jsonl", ".before-retry.jsonl")


def _short(line: Line, limit: int) -> bool:
    """Whether a sample is to be asked with this limit: it was cut below it, or its asking with it failed."""
    if line.status == "error":
        return line.extended == limit
    return line.status == "truncated" and (line.extended or 0) < limit


def _lines(path: Path) -> dict[str, Line]:
    found = {}
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and path.name.endswith("-async"):
                break  # another process is writing it
            try:
                head = _decode_head(line)
            except msgspec.DecodeError as error:
                raise DataError(
                    f"{path}:{number}: not a sample ({error})",
                    hint=f"move the file away to ask its questions again: mv {path} {path}.broken",
                ) from error
            judged, meta = bool(head.verdicts), head.generation_meta
            limit = meta.extended.to if meta is not None and meta.extended is not None else None
            found[str(head.id)] = Line(path, offset, len(line), head.status, head.num_generated_tokens, judged, limit)
            offset += len(line)
    return found


def _cut_torn_tail(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)


def _copy(lines: Sequence[Line], target: BinaryIO) -> None:
    with contextlib.ExitStack() as opened:
        sources = {path: opened.enter_context(path.open("rb")) for path in {line.path for line in lines}}
        for line in lines:
            sources[line.path].seek(line.offset)
            target.write(sources[line.path].read(line.length))
