"""`ns prepare_data NAMES…`: question files of benchmarks, each with the record of its origin."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset_prepare.fetch import Fetched, fetched, local, only_file
from dataset_prepare.sources import PrepareSource, source, upstream_name
from dataset_prepare.split_files import Prepared, upstream_form, write_split
from ns_eval import benchmarks, questions
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError, NsError, UsageError
from ns_eval.schema import positional


@dataclass
class PrepareConfig:
    """Make the question files of benchmarks, every split of each, and record where the rows came from.

    Examples:
        ns prepare_data aime24 comp-math-24-25 math-500 gsm8k
        ns prepare_data mmlu --source=/downloads/mmlu --data_dir=/data/benchmarks
        ns prepare_data science_prompts --source a.parquet,b.parquet --samples=240 --balance=domain
        ns prepare_data --discover=/downloads
        ns prepare_data --validate=gsm8k
    """

    names: list[str] = positional(many=True)  # noqa: RUF009
    """Benchmarks by name or alias; `ns show benchmarks` lists them."""
    data_dir: str | None = None
    """Where the files go. Default: NS_DATA_DIR, NEMO_SKILLS_DATA_DIR, else ~/.cache/ns-eval/data."""
    source: str | None = None
    """A file or folder in the upstream's own format, instead of the network; for several names, a folder of each. With
    --samples: files, comma-separated."""
    samples: int | None = None
    """Draw this many different prompts from the files of --source, into prompts.parquet and the question file."""
    balance: str | None = None
    """With --samples: share them out evenly over domain or task_type."""
    seed: int = 0
    """With --samples: another seed draws other prompts."""
    discover: str | None = None
    """A folder whose data files are to be looked through; proposes a benchmark YAML for each."""
    write: str | None = None
    """With --discover: the conf folder that the proposed YAMLs go to. Without it nothing is written."""
    validate: list[str] = field(default_factory=list)
    """Benchmarks or question files to be checked instead."""
    context: int | None = None
    """With --validate: the tokens of a model's context; longer problems are reported."""
    cluster: str | None = None
    """Taken for NeMo-Skills' sake: data is prepared where the command runs."""


def main(config: PrepareConfig) -> int:
    """Prepares, validates or discovers; one line on stdout for each file."""
    if config.discover:
        from dataset_prepare.discover import report as discovered

        return discovered(Path(config.discover), Path(config.write) if config.write else None)
    folder = questions.data_dir(config.data_dir)
    if config.validate:
        from dataset_prepare.validate import report as validated

        return validated(config.validate, folder, config.context)
    if not config.names:
        raise UsageError("no benchmark is named", hint="ns prepare_data aime24 gsm8k …, or `ns show benchmarks`")
    found = [benchmarks.find(name) for name in config.names]
    if config.samples is not None or config.balance is not None:
        return _draw(config, found, folder)
    failed = [error for benchmark in found if (error := _prepare_one(benchmark, folder, config.source, len(found)))]
    if len(failed) == 1 and len(found) == 1:
        raise failed[0]
    if failed:
        raise DataError(f"{len(failed)} of {len(found)} benchmarks could not be prepared, see above")
    return 0


def _draw(config: PrepareConfig, found: list[BenchmarkConfig], folder: Path) -> int:
    """One benchmark from a drawn set of prompts, which stays beside its question file."""
    from dataset_prepare import balanced

    if len(found) != 1 or not config.source or config.samples is None or config.samples < 1:
        raise UsageError(
            "--samples and --balance draw one benchmark's prompts from files",
            hint="ns prepare_data science_prompts --source=a.parquet,b.parquet --samples=240 --balance=domain",
        )
    files = [Path(name.strip()).expanduser() for name in config.source.split(",")]
    for file in files:
        if not file.is_file():
            raise UsageError(f"--source: {file} does not exist")
    drawn = balanced.draw(files, config.samples, config.balance, config.seed)
    path = folder / found[0].name / "prompts.parquet"
    balanced.write_prompts(path, drawn.rows)
    for note in drawn.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{path}  {len(drawn.rows)} prompts")
    error = _prepare_one(found[0], folder, str(path), 1)
    if error is not None:
        raise error
    return 0


def _prepare_one(benchmark: BenchmarkConfig, folder: Path, given: str | None, asked: int) -> NsError | None:
    """One benchmark; of several, one that fails does not keep the others from being prepared."""
    try:
        for item in prepare(benchmark, folder, _given(given, benchmark, asked)):
            for note in item.notes:
                print(f"warning: {benchmark.name}: {note}", file=sys.stderr)
            part = f" of {item.upstream_rows}" if item.upstream_rows not in (None, item.rows) else ""
            print(f"{item.path}  {item.rows}{part} questions")
    except NsError as error:
        if asked > 1:
            print(f"error: {benchmark.name}: {error}", file=sys.stderr)
        return error
    return None


def _given(given: str | None, benchmark: BenchmarkConfig, asked: int) -> Path | None:
    """--source, or the folder of this benchmark in it, under its name or an alias."""
    if given is None:
        return None
    path = Path(given).expanduser()
    if not path.exists():
        raise UsageError(f"--source: {path} does not exist")
    for name in (benchmark.name, *benchmark.aliases):
        if (path / name).is_dir():
            return path / name
    if asked > 1:
        raise UsageError(
            f"--source: {path} has no folder `{benchmark.name}`", hint="with several names it holds a folder for each"
        )
    return path


def prepare(benchmark: BenchmarkConfig, folder: Path, given: Path | None = None) -> Iterator[Prepared]:
    """Every split of a benchmark, written to `<folder>/<benchmark>/`; from `given` those that are there.

    Raises:
        UsageError: the benchmark declares no source.
        DataError: nothing to read, a wrong row by file and line; without `given` also another number of rows than declared.
    """
    declared = source(benchmark)
    if declared.kind == "shipped":
        yield _shipped(benchmark)
        return
    if given is None:
        for name in declared.splits:
            with fetched(declared, name, folder / benchmark.name) as files:
                yield write_split(benchmark, name, folder, files, strict=declared.kind != "local")
        return
    found = _found(given, benchmark, declared)
    if not found:
        wanted = [pattern for split in declared.splits.values() for pattern in split.files]
        names = wanted or [f"{upstream_name(name, split)}*" for name, split in declared.splits.items()]
        raise DataError(
            f"{given} has no file of {benchmark.name}: looked for {', '.join(names)}", hint=upstream_form(declared)
        )
    for name, files in found.items():
        yield write_split(benchmark, name, folder, files, strict=False)


def _found(given: Path, benchmark: BenchmarkConfig, declared: PrepareSource) -> dict[str, Fetched]:
    """Split -> its files at a path of the user's. Of a single file, the splits that its name names, else the default one."""
    if given.is_dir():
        found = {name: files for name in declared.splits if (files := local(given, declared, name)).files}
        alone = only_file(given)
        if found or alone is None:
            return found
        given = alone
    words = re.split(r"[-_.]", given.name)
    named = [name for name, split in declared.splits.items() if upstream_name(name, split) in words]
    whole = [name for name, split in declared.splits.items() if given.name in (Path(file).name for file in split.files)]
    return {name: local(given, declared, name) for name in whole or named or [benchmark.split]}


def _shipped(benchmark: BenchmarkConfig) -> Prepared:
    loaded = questions.load(benchmark, benchmark.split, Path())
    return Prepared(loaded.path, loaded.rows, loaded.upstream_rows, ("it is shipped: there is nothing to prepare",))
