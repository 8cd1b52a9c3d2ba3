"""config of `ns generate` -> the rows that its job will answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ns_eval import dealing, models, nemo_skills, plan, prompts, questions, runs
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.options import GenerateConfig
from ns_eval.plan import Plan
from ns_eval.runs import BenchmarkRun


def rows(config: GenerateConfig, *, num_jobs: int) -> Plan:
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
        seeds=seeds_named(config) or (None,),
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
    return Plan(output_dir, model, who, asked, dealing.deal(dealing.chunked(asked, config), num_jobs))


def seeds_named(config: GenerateConfig) -> tuple[int | None, ...] | None:
    """The seeds that the command line names; None where it names none.

    Raises:
        UsageError: they are named in two ways, or are no numbers.
    """
    if config.num_random_seeds and config.random_seeds:
        raise UsageError("give --num_random_seeds or --random_seeds, not both")
    if config.random_seeds:
        return tuple(runs.numbers(config.random_seeds, "random_seeds"))
    if config.num_random_seeds:
        return tuple(range(config.starting_seed, config.starting_seed + config.num_random_seeds))
    return None
