"""`ns prepare_data --validate`: what is wrong, or odd, in question files that any loader would accept."""

from __future__ import annotations

import collections
import hashlib
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataset_prepare.readers import read
from ns_eval import benchmarks, questions
from ns_eval.errors import DataError
from ns_eval.records import Json
from ns_eval.resources import conf_names

Row = dict[str, Json]
SHOWN = 3
# A rough rule for English and LaTeX; a report says "about", and `--dry_run` of `ns eval` counts with the real tokenizer.
CHARACTERS_A_TOKEN = 3.5
_SHORTEST_LEAK = 12
_TRAINING = ("train", "dev", "prompt", "auxiliary_train")
# UTF-8 that was read as Latin-1 or Windows-1252 once: "Ã©", "â€™"; the replacement character; control characters.
_DAMAGE = re.compile("\ufffd|[ÃÂ][\x80-\xbf¡-¿]|â€[\x80-\xbf™œ\u009d¦“”˜]|[\x00-\x08\x0b\x0c\x0e-\x1f]")
_STATED = re.compile(r"(?i)\b(?:correct answer|answer|solution)\s*(?:is|:|=)\s*\(?\**([A-J]|[-\d.,/]+)\b|####\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in one place. `wrong` is what makes figures wrong; anything else is for a person to look at."""

    kind: str
    where: str
    text: str
    wrong: bool = False


@dataclass(slots=True)
class Seen:
    """What is remembered over the rows of one file: the place of each id, and of each problem by content."""

    ids: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def report(targets: Sequence[str], folder: Path, context: int | None) -> int:
    """Prints what was found in each target, a benchmark or a file, and returns 3 where anything is wrong."""
    wrong = False
    for target in targets:
        files = _files(target, folder)
        findings, rows = validate(files, context)
        wrong |= any(item.wrong for item in findings)
        print(f"{target}: {rows} rows in {', '.join(path.name for path in files)}")
        for line in _lines(findings):
            print(line)
    return DataError.exit_code if wrong else 0


def validate(files: Sequence[Path], context: int | None = None) -> tuple[list[Finding], int]:
    """The findings of the splits of one benchmark, and how many rows were read. A file alone is a benchmark of one split."""
    findings: list[Finding] = []
    rows = 0
    contents: dict[Path, Seen] = {}
    for path in files:
        contents[path] = seen = Seen()
        for raw in read(path):
            rows += 1
            findings += _of_row(dict(raw.values), raw.where, seen, context)
    findings += _overlaps(contents)
    return findings, rows


def _files(target: str, folder: Path) -> list[Path]:
    if Path(target).is_file():
        return [Path(target)]
    if "/" in target and target not in conf_names("benchmark"):
        raise DataError(f"--validate: there is no file {target}")
    benchmark = benchmarks.find(target)
    path = questions.split_file(benchmark, benchmark.split, folder)
    found = sorted(path.parent.glob("*.jsonl"))
    if not found:
        raise DataError(
            f"{benchmark.name} is not prepared: {path.parent} has no file", hint=f"ns prepare_data {benchmark.name}"
        )
    return found


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    by_kind: dict[str, list[Finding]] = collections.defaultdict(list)
    for item in findings:
        by_kind[item.kind].append(item)
    if not by_kind:
        yield "  nothing found"
    for kind, items in sorted(by_kind.items(), key=lambda pair: (not pair[1][0].wrong, pair[0])):
        yield f"  {'wrong' if items[0].wrong else 'look at'}: {kind}, {len(items)} times"
        for item in items[:SHOWN]:
            yield f"    {item.where}: {item.text}"
        if len(items) > SHOWN:
            yield f"    and {len(items) - SHOWN} more"


def _of_row(row: Row, where: str, seen: Seen, context: int | None) -> Iterator[Finding]:
    problem = row.get("problem")
    if not isinstance(problem, str) or not problem.strip():
        yield Finding("no problem", where, "`problem` is missing, empty or no text", wrong=True)
        return
    yield from _identity(row, where, seen, problem)
    for check in (_answer, _encoding, _leak):
        yield from check(row, where)
    tokens = int(len(problem) / CHARACTERS_A_TOKEN)
    if context is not None and tokens > context:
        yield Finding("longer than the context", where, f"about {tokens:,} tokens, the context has {context:,}")


def _identity(row: Row, where: str, seen: Seen, problem: str) -> Iterator[Finding]:
    key = row.get("id")
    if key is None:
        yield Finding("no id", where, "questions without ids are known by their place in the file")
    elif seen.ids.setdefault(str(key), where) != where:
        yield Finding("duplicate id", where, f"`{key}` stands already at {seen.ids[str(key)]}", wrong=True)
    digest = content_hash(problem)
    if seen.problems.setdefault(digest, where) != where:
        yield Finding("duplicate problem", where, f"the same as {seen.problems[digest]}: {problem[:60]!r}")


def content_hash(text: str) -> str:
    """Equal for texts that differ in case and spaces only: a bracket or a sign makes another problem."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()[:20]


def _answer(row: Row, where: str) -> Iterator[Finding]:
    answer = row.get("expected_answer")
    if answer is not None and not str(answer).strip():
        yield Finding("empty answer", where, "`expected_answer` is empty", wrong=True)
    choices = row.get("choices")
    if answer is None or not isinstance(choices, list):
        return
    letters = re.split(r"\s*,\s*", str(answer).strip())
    known = string.ascii_uppercase[: len(choices)]
    if all(len(letter) == 1 and letter in known for letter in letters):
        if any(not str(choice).strip() for choice in choices):
            yield Finding("empty choice", where, f"{len(choices)} choices, one of them without text")
    elif str(answer).strip().isdecimal():
        yield Finding(
            "an index for a letter", where, f"`{answer}` of {len(choices)} choices, expected A to {known[-1:]}", wrong=True
        )
    else:
        yield Finding("answer outside its choices", where, f"`{answer}` is none of {', '.join(known)}", wrong=True)


def _encoding(row: Row, where: str) -> Iterator[Finding]:
    for column in ("problem", "expected_answer"):
        found = _DAMAGE.search(str(row.get(column) or ""))
        if found:
            text = str(row[column])
            around = text[max(0, found.start() - 15) : found.end() + 15]
            yield Finding("damaged encoding", where, f"{found.group()!r} in `{column}`: …{around!r}…")


def _leak(row: Row, where: str) -> Iterator[Finding]:
    """The answer, where it stands in the question as one: written out, or after "the answer is"."""
    problem, answer = row["problem"], str(row.get("expected_answer") or "").strip()
    asked = str(row.get("question") or problem)
    if not answer:
        return
    if len(answer) >= _SHORTEST_LEAK and answer in asked:
        yield Finding("the answer stands in the problem", where, repr(answer[:60]))
    stated = [group for match in _STATED.finditer(asked) for group in match.groups() if group]
    if any(item.rstrip(".,").lower() == answer.lower() for item in stated):
        yield Finding("the problem states its answer", where, f"`{answer}` after a cue such as `answer:`")


def _overlaps(contents: dict[Path, Seen]) -> Iterator[Finding]:
    """Problems of an evaluated split that stand in a split to learn from."""
    is_training: Callable[[Path], bool] = lambda path: path.stem in _TRAINING  # noqa: E731
    trained: dict[str, str] = {}
    for path in filter(is_training, contents):
        trained |= contents[path].problems
    for path, seen in contents.items():
        if is_training(path):
            continue
        for digest, where in seen.problems.items():
            if digest in trained:
                yield Finding("test problem in training split", where, f"also at {trained[digest]}", wrong=True)
