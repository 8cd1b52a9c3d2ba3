"""config of `ns generate` -> the share of its job: rows to answer, or outputs to judge."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from ns_eval import models, nemo_skills, plan, prompts, questions, rundir, runs
from ns_eval.config import BenchmarkConfig, load_yaml
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.grading import build_judge
from ns_eval.options import GenerateConfig
from ns_eval.plan import Plan
from ns_eval.records import Json, Sampling
from ns_eval.resources import conf_file, conf_names
from ns_eval.rundir import Expected
from ns_eval.runs import BenchmarkRun

_SEEDS = re.compile(r"(\d+)\.\.(\d+)")
_OUTPUT = re.compile(r"output(?:-rs(\d+))?\.jsonl")
# A judge thinks before it speaks: 2,048 tokens, the parent's limit, cut reasoning judges off.
_JUDGE_TOKENS = 8192


def rows(config: GenerateConfig) -> Plan:
    """The plan of generation_type=generate: every row of a file, no judge.

    Raises:
        UsageError: no input file, or no prompt.
        DataError: a row that is no JSON object, an id twice.
    """
    nemo_skills.use(config.nemo_skills_path)
    if not config.input_file:
        raise UsageError("which rows? --input_file is missing", hint="ns generate --input_file=rows.jsonl …")
    path = Path(config.input_file).absolute()
    if not path.is_file():
        raise DataError(f"--input_file={config.input_file}: there is no such file")
    if not config.prompt_config:
        raise UsageError(
            "which prompt? --prompt_config is missing", hint="`ns show prompts` lists them; a path to a YAML is one too"
        )
    found = questions.read_rows(path)
    if not found:
        raise DataError(f"{path}: there is no row in it")
    output_dir = plan.writable(Path(config.output_dir))
    model = models.weights(config.model)
    who = plan.models_asked(config, model, output_dir)
    prompt = plan.prompt_of(config, config.prompt_config)
    benchmark = BenchmarkConfig(name=path.stem)
    run = BenchmarkRun(
        name=path.stem,
        split="",
        seeds=_seeds(config),
        questions=path,
        fingerprint=questions.fingerprint(found),
        rows=plan.rows_asked(config, len(found)),
        upstream_rows=None,
        prompt=prompt,
        sampling=plan.sampling_of(config, benchmark),
        greedy=plan.sampling_of(config, benchmark, greedy=True),
        judge={},
        metric_type="",
        folder=output_dir,
        timeout_s=runs.timeout_s(config.inference, benchmark),
        code=plan.code_of(config, prompt),
    )
    prompts.request(prompt, found[0], None, run.greedy)
    run = dataclasses.replace(run, settings=runs.settings_of(run, who.asked[0].identity))
    asked = tuple(plan.of_variant(run, variant) for variant in who.asked)
    return Plan(output_dir, model, who, asked, (asked,))


@dataclasses.dataclass(frozen=True, slots=True)
class Judging:
    """What a judging job is told beside its backend: see judges/judging.py."""

    inputs: tuple[Path, ...]
    folder: Path
    judge: Mapping[str, Json]
    sampling: Sampling
    timeout_s: float


def judging(config: GenerateConfig) -> Judging:
    """The plan of a judge over the outputs of a run: with no seeds named, every output*.jsonl of the folder.

    Raises:
        UsageError: an unknown type or switch.
        DataError: no outputs, or not those of the seeds that are named.
    """
    nemo_skills.use(config.nemo_skills_path)
    if config.adapter:
        raise UsageError("a judge is one model", hint="merge its adapter: ns convert --convert_to=hf --adapter=…")
    if not config.input_dir:
        raise UsageError("which outputs? --input_dir is missing", hint="--input_dir=out/eval-results/<benchmark>")
    inputs = _outputs(Path(config.input_dir).absolute(), config)
    spec = {**load_yaml(conf_file("judge", judge_name(config.generation_type))), **config.judge}
    judge = build_judge(spec)
    drawn = runs.sampling(config.inference, BenchmarkConfig(), greedy=config.inference.temperature is None)
    if drawn.max_tokens is None:
        drawn = dataclasses.replace(drawn, max_tokens=_JUDGE_TOKENS)
    return Judging(
        inputs=inputs,
        folder=plan.writable(Path(config.output_dir)),
        judge=judge.spec(),
        sampling=drawn,
        timeout_s=runs.timeout_s(config.inference, BenchmarkConfig()),
    )


def expect_calls(asked: Judging, model: str, *, force: bool) -> None:
    """Refuses to mix the calls of two judges in one folder."""
    settings = {"judge": asked.judge, "model": model, "sampling": dataclasses.asdict(asked.sampling)}
    expected = Expected("judge-calls", 0, (None,), "", settings, asked.judge)
    rundir.expect(asked.folder / "judge-calls", expected, force=force)


def judge_name(generation_type: str) -> str:
    """`math_judge` is conf/judge/math."""
    name = generation_type.removesuffix("_judge")
    types = {"generate", "genselect", *(f"{known}_judge" for known in conf_names("judge"))}
    if generation_type not in types:
        raise UsageError(f"unknown generation_type `{generation_type}`, {suggest(generation_type, types)}")
    return name


def _seeds(config: GenerateConfig) -> tuple[int | None, ...]:
    if config.num_random_seeds and config.random_seeds:
        raise UsageError("give --num_random_seeds or --random_seeds, not both")
    if config.random_seeds:
        return tuple(_numbers(config.random_seeds))
    if config.num_random_seeds:
        return tuple(range(config.starting_seed, config.starting_seed + config.num_random_seeds))
    return (None,)


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for item in text.split(","):
        span = _SEEDS.fullmatch(item.strip())
        if span:
            found += range(int(span[1]), int(span[2]) + 1)
        elif item.strip().isdecimal():
            found.append(int(item))
        else:
            raise UsageError(
                f"--random_seeds={text}: `{item}` is no number", hint="--random_seeds=0,3 or --random_seeds=0..7"
            )
    return found


def _outputs(folder: Path, config: GenerateConfig) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise DataError(f"--input_dir={folder}: there is no such folder")
    found = {
        int(named[1]) if named[1] else None: path for path in folder.iterdir() if (named := _OUTPUT.fullmatch(path.name))
    }
    if not found:
        unfinished = " (only unfinished -async files: run the evaluation to its end)" if list(folder.glob("*-async")) else ""
        raise DataError(f"{folder}: no output*.jsonl in it{unfinished}", hint="--input_dir=out/eval-results/<benchmark>")
    wanted = _seeds(config) if config.num_random_seeds or config.random_seeds else tuple(found)
    missing = [seed for seed in wanted if seed not in found]
    if missing:
        raise DataError(
            f"{folder}: output-rs{missing[0]}.jsonl is missing; {len(missing)} of {len(wanted)} seeds are not there"
        )
    return tuple(found[seed] for seed in sorted(wanted, key=lambda seed: -1 if seed is None else seed))
