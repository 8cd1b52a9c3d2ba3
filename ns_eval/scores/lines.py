"""Reads output files, ours and NeMo-Skills' of both eras, without reading the text that the model wrote.

    output.jsonl                  the greedy answer               output-rs<S>.jsonl            one per seed
    output-rs<S>.jsonl-async      in progress, last line wins     output-rs<S>_chunk_<i>.jsonl  a slice that was never merged
                                                                  output-rs<S>_chunk_<i>.jsonl-async  a slice in progress

Reading is the cost of a first summary (gigabytes of reasoning), so files go through one reused buffer, and long strings at
known places are cut out before the line is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from ns_eval.errors import DataError

_NAME = re.compile(r"output(?:-rs(?P<seed>\d+))?(?:_chunk_(?P<chunk>\d+))?\.jsonl(?P<tail>-async)?")
Number: TypeAlias = int | float


class LineVerdict(msgspec.Struct):
    """What a summary needs of one of our own verdicts."""

    correct: bool | None = None
    answer: str | None = None
    extracted: str | None = None
    scores: dict[str, float] = msgspec.field(default_factory=dict)


class Line(msgspec.Struct, rename={"async_position": "_async_position"}):
    """The columns of one output line that a summary needs; UNSET tells "not there" from null."""

    id: str | int | None = None
    problem: str | None = None
    question: str | None = None
    expected_answer: str | Number | bool | None = None
    subset_for_metrics: str | None = None
    cluster: str | None = None
    status: str | None = None
    predicted_answer: str | Number | msgspec.UnsetType | None = msgspec.UNSET
    is_correct: bool | msgspec.UnsetType | None = msgspec.UNSET
    symbolic_correct: bool | msgspec.UnsetType | None = msgspec.UNSET
    judge_correct: bool | msgspec.UnsetType | None = msgspec.UNSET
    judgement: str | msgspec.UnsetType | None = msgspec.UNSET
    verdicts: dict[str, LineVerdict] | None = None
    reward_model_score: float | None = None
    finish_reason: str | None = None
    num_generated_tokens: Number | None = None
    num_input_tokens: Number | None = None
    generation_time: Number | None = None
    num_attempts: int | None = None
    error: str | None = None
    async_position: int | None = None
    # Undecoded: another's file may hold anything under these names.
    tier: msgspec.Raw = msgspec.Raw(b"null")
    choices: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class SeedOutput:
    """The files of one seed (None: greedy), in the order in which a later line replaces an earlier one."""

    seed: int | None
    paths: tuple[Path, ...]

    @property
    def in_progress(self) -> bool:
        return any(path.name.endswith("-async") for path in self.paths)


def find_outputs(folder: Path) -> list[SeedOutput]:
    """The seeds of a folder, by number, the greedy answer first; chunk files stand for a finished file that is not there.

    Raises:
        DataError: chunks of one seed with a gap between them.
    """
    names: dict[int | None, dict[str, Path]] = {}
    chunks: dict[int | None, dict[int, Path]] = {}
    for path in folder.glob("output*.jsonl*"):
        match = _NAME.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        seed = None if match["seed"] is None else int(match["seed"])
        if match["chunk"] is not None and match["tail"]:
            names.setdefault(seed, {})[f"-async{int(match['chunk']):09d}"] = path
        elif match["chunk"] is not None:
            chunks.setdefault(seed, {})[int(match["chunk"])] = path
        else:
            names.setdefault(seed, {})[match["tail"] or ""] = path
    for seed, parts in chunks.items():
        if "" not in names.get(seed, {}):
            _refuse_gap(parts)
            names.setdefault(seed, {}).update({f"\0{number:09d}": path for number, path in parts.items()})
    order = sorted(names, key=lambda seed: -1 if seed is None else seed)
    return [SeedOutput(seed, tuple(path for _, path in sorted(names[seed].items()))) for seed in order]


def _refuse_gap(parts: Mapping[int, Path]) -> None:
    missing = sorted(set(range(max(parts) + 1)) - set(parts))
    if missing:
        path = parts[max(parts)]
        raise DataError(
            f"{path.parent}: {path.name} is there, chunk {missing[0]} before it is not: {len(parts)} of {max(parts) + 1}",
            hint="copy the missing chunk files, or run the generation again",
        )


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """(line number from 1, line) of a file. A torn last line is skipped where the file is in progress.

    Raises:
        DataError: a line that is no output line, named by file and line.
    """
    decode = msgspec.json.Decoder(Line).decode
    for number, raw, complete in _raw_lines(path):
        if not complete and path.name.endswith("-async"):
            return
        try:
            yield number, _decode_short(raw, decode)
        except msgspec.DecodeError as error:
            raise DataError(
                f"{path}:{number}: {_complaint(raw, error)}{'' if complete else '; the line is cut, it has no end'}",
                hint="repair or remove that line; the question it answers is then counted as missing",
            ) from error


def _decode_short(raw: bytes, decode: Callable[[bytes], Line]) -> Line:
    """Decodes a line of ours without its long texts: three times as fast as skipping them in the decoder.

    The bytes `","key":` are structure wherever they stand, because a quote inside a string is escaped. Where they were those
    of a nested object, what is left has a bracket too many; then the whole line is decoded.
    """
    cut = raw.rfind(b'","seed":') if raw.startswith(b'{"generation":"') else -1
    if cut >= 0:
        short = b"{" + _without_reasoning(raw[cut + 2 :])
        try:
            return decode(short)
        except msgspec.DecodeError:
            pass
    return decode(raw)


def _without_reasoning(raw: bytes) -> bytes:
    start = raw.find(b'"reasoning_content":"', 0, 200)
    if start < 0:
        return raw
    for key in (b'","finish_reason":', b'","num_input_tokens":', b'","generation_time":'):
        end = raw.rfind(key, start)
        if end >= 0:
            return raw[:start] + raw[end + 2 :]
    return raw


def _complaint(raw: bytes, error: msgspec.DecodeError) -> str:
    if re.search(rb":\s*-?(?:NaN|Infinity)\b", raw):
        return "a score is NaN or infinite, which JSON cannot hold"
    return f"not an output line ({error})"


def _raw_lines(path: Path, size: int = 1 << 20) -> Iterator[tuple[int, bytes, bool]]:
    """(number, bytes, ended by a newline). One buffer is reused, so it stays in cache; it grows for a longer line."""
    buffer = bytearray(size)
    have = number = 0
    with path.open("rb", buffering=0) as file:
        while True:
            with memoryview(buffer) as view:
                count = file.readinto(view[have:])
            if not count:
                break
            searched, have, start = have, have + count, 0
            while (end := buffer.find(b"\n", max(start, searched), have)) >= 0:
                number += 1
                if end > start:
                    yield number, bytes(memoryview(buffer)[start:end]), True
                start = end + 1
            buffer[: have - start] = buffer[start:have]
            have -= start
            if have == len(buffer):
                buffer.extend(bytes(len(buffer)))
    if have:
        yield number + 1, bytes(memoryview(buffer)[:have]), False
