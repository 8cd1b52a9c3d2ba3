"""`ns eval` for several models: one plan for all of them, then one after the other, then one report."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ns_eval import commands, plan
from ns_eval.arguments import Override
from ns_eval.catalogue import planning
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose
from ns_eval.errors import DataError, NsError
from ns_eval.files import write_text
from ns_eval.options import EvalConfig
from ns_eval.records import Json
from ns_eval.resources import locate
from ns_eval.schema import build


def evaluate(asked: Mapping[str, Sequence[Override]]) -> int:
    """Evaluates every model; one that cannot be asked, or fails, is named with its reason and ends no other.

    Raises:
        DataError: none of them can be asked.
        NsError: what the first one that failed failed with, after the others have run.
    """
    configs: dict[str, EvalConfig] = {}
    failed: dict[str, NsError] = {}
    plans = []
    for name, given in asked.items():
        try:
            config = compose(EvalConfig, given, layers(given))
            found = plan.evaluation(config, num_jobs=1)
        except NsError as error:
            failed[name] = error
            continue
        configs[name] = config
        plans.append(planning.text(config, found.runs, found.selection))
    reasons = [f"skipped  {name}  {error.message.splitlines()[0]}" for name, error in failed.items()]
    text = "\n\n".join([*plans, "\n".join(reasons)]).strip()
    if not configs:
        raise DataError(f"none of {len(asked)} models can be asked:\n{text}", hint="ns show models --ready")
    print(text, file=sys.stdout if _only_planned(configs) else sys.stderr, flush=True)
    if _only_planned(configs):
        return 0
    ends = {name: _one(config) for name, config in configs.items()}
    ran = {name: end for name, end in ends.items() if end is not None}
    _end(configs, ran, failed)
    if ran:
        raise next(iter(ran.values()))
    return 0


def _only_planned(configs: Mapping[str, EvalConfig]) -> bool:
    return any(config.plan or config.dry_run for config in configs.values())


def _one(config: EvalConfig) -> NsError | None:
    try:
        commands.evaluate(config)
    except NsError as error:
        print(f"{config.model}: {error.message}", file=sys.stderr, flush=True)
        return error
    return None


def _end(configs: Mapping[str, EvalConfig], ran: Mapping[str, NsError], skipped: Mapping[str, NsError]) -> None:
    """models.json in the output folder, and the report of all that ran."""
    folders = {name: Path(config.output_dir) for name, config in configs.items()}
    states: dict[str, Json] = {name: {"folder": folder.name, "state": "done"} for name, folder in folders.items()}
    states |= {
        name: {"folder": folders[name].name, "state": "failed", "reason": error.message} for name, error in ran.items()
    }
    states |= {name: {"state": "skipped", "reason": error.message} for name, error in skipped.items()}
    write_text(next(iter(folders.values())).parent / "models.json", json.dumps(states, indent=1) + "\n")
    whole = [str(folder) for name, folder in folders.items() if name not in ran and (folder / "plan.json").is_file()]
    if len(whole) > 1:
        schema = locate("summarize.category:CategoryReportConfig")
        locate("summarize.category:main")(build(schema, {"results_dirs": whole}, "category_report"))
    for name, error in {**skipped, **ran}.items():
        print(f"{'failed' if name in ran else 'skipped'}  {name}  {error.message.splitlines()[0]}")
