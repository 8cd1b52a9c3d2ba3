"""`ns check`: everything that can be wrong with a run, one line each, before it costs anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ns_eval import launch, models, prompts, runs, servers
from ns_eval.checks.job import CheckShare, read
from ns_eval.checks.lines import Line, shown
from ns_eval.checks.login import Looked, look
from ns_eval.commands import cluster_of
from ns_eval.errors import NsError
from ns_eval.generation import arguments_of
from ns_eval.job_files import logs_dir
from ns_eval.jobs import JobSpec
from ns_eval.options import EvalConfig
from ns_eval.records import Request

_FAILED = 7


@dataclass
class CheckConfig(EvalConfig):
    """Look for what is wrong with an evaluation before it costs anything: the keys are those of `ns eval`.

    Exit code: 0, or 7 where a check failed.

    Examples:
        ns check --model=tinymath --benchmarks=arithmetic:8
        ns check --model=/models/qwen3-8b --server_type=vllm --server_gpus=1 --benchmarks=aime24:64 --adapter=mine:/runs/lora
        ns check --model=m --server_address=http://127.0.0.1:8000/v1 --benchmarks=gsm8k --cluster=slurm
        ns check … --login_only          # nothing that needs a server
    """

    output_dir: str = "ns-check"
    """Where the server's log and check.json go."""
    login_only: bool = False
    """Start no server and ask none."""


def check(config: CheckConfig) -> int:
    """Prints the lines; looks at the server only where what it needs is there."""
    found = asyncio.run(look(config))
    if not config.login_only and not _stands_in_the_way(found):
        found.lines += _at_the_server(config, found)
    print(shown(found.lines))
    bad = {state: sum(line.state == state for line in found.lines) for state in ("ok", "warn", "fail")}
    print(f"\n{bad['ok']} ok, {bad['warn']} to look at, {bad['fail']} failed")
    return _FAILED if bad["fail"] else 0


def _stands_in_the_way(found: Looked) -> bool:
    needed = ("cluster", "output folder", "model", "key", "adapters")
    return any(line.state == "fail" and line.name in needed for line in found.lines)


def _at_the_server(config: CheckConfig, found: Looked) -> list[Line]:
    folder = Path(config.output_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = models.weights(config.model)
    share = CheckShare(
        model=config.model,
        path=path,
        origin=models.origin(path),
        server=found.variants.server if found.variants else config.server,
        chat=not any(run.prompt.as_text for run in found.runs),
        log=logs_dir(folder) / "check.server.log",
        result=folder / "check.json",
        longest={run.name: _longest(run) for run in found.runs},
    )
    spec = JobSpec(
        name="check",
        target="ns_eval.checks.job:main",
        arguments=arguments_of(share),
        gpus=config.server.gpus or 0,
        nodes=config.server.nodes,
        container=config.server_container or config.server_type or "ns-eval",
        secrets=tuple(filter(None, [servers.key_variable(config.server)])),
    )
    try:
        launch.wait(launch.submit([spec], cluster_of(config), folder))
        return read(share.result)
    except NsError as error:
        return [Line("fail", "server", error.message, error.hint or "")]


def _longest(run: runs.BenchmarkRun) -> Request:
    """The longest request by its characters: near enough, and no tokenizer is needed."""
    seed = run.seeds[0]
    sampling = run.greedy if seed is None else run.sampling
    asked = [prompts.request(run.prompt, question, seed, sampling) for question in runs.questions_of(run)]
    return max(asked, key=lambda request: len(request.text or "") + sum(len(str(m)) for m in request.messages or ()))
