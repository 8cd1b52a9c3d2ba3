"""What can be looked at without a server: cluster, model, adapters, keys, data, prompts, judges, golds, sandbox."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ns_eval import models, nemo_skills, plan, plan_text, servers
from ns_eval.catalogue import selection
from ns_eval.catalogue.selection import Chosen
from ns_eval.checks.golds import golds
from ns_eval.checks.lines import Line
from ns_eval.cluster import clusters
from ns_eval.engines.embedded import gguf_below
from ns_eval.engines.engine_commands import check_model
from ns_eval.errors import NsError, ServerError
from ns_eval.options import EvalConfig
from ns_eval.runs import BenchmarkRun
from ns_eval.sandbox.box import open_sandbox
from ns_eval.variants import Variant, Variants, variants

_GOLDS, _QUICK_GOLDS = 50, 5
_ROOM_BYTES = 1 << 30


@dataclass(slots=True)
class Looked:
    """The lines, and what was found on the way, for the checks that need a server."""

    lines: list[Line] = field(default_factory=list)
    runs: list[BenchmarkRun] = field(default_factory=list)
    variants: Variants | None = None

    def at(self, name: str, look: Callable[[], str]) -> None:
        """One check: what it says, or how it fails."""
        try:
            self.lines.append(Line("ok", name, look()))
        except NsError as error:
            self.lines.append(Line("fail", name, error.message, error.hint or ""))


async def look(config: EvalConfig) -> Looked:
    """Every check that needs no server; one that fails does not hide the others."""
    nemo_skills.use(config.nemo_skills_path)
    found = Looked()
    output_dir = Path(config.output_dir).absolute()
    model = models.weights(config.model)
    found.at("cluster", lambda: _cluster(config))
    found.at("output folder", lambda: _folder(output_dir))
    found.at("key" if config.server.base_url else "model", lambda: _model(config, model))

    def adapters() -> str:
        found.variants = variants(config, output_dir)
        return ", ".join(variant.adapter for variant in found.variants.asked if variant.adapter)

    if config.adapter:
        found.at("adapters", adapters)
    who = found.variants.asked[0] if found.variants else Variant("", output_dir, models.identity(model))
    for chosen in selection.choose(config).chosen:
        name = chosen.asked.benchmark.name
        found.at(f"benchmark {name}", functools.partial(_benchmark, found, config, chosen, who))
    for run in found.runs:
        found.lines += await golds(run, _GOLDS)
    found.lines += [Line("ok", "code", line) for line in plan_text.code_lines(found.runs)]
    if plan.runs_code(config):
        found.lines.append(await _sandbox(config))
    return found


def _benchmark(found: Looked, config: EvalConfig, chosen: Chosen, who: Variant) -> str:
    run = plan.run_of(config, chosen, who)
    found.runs.append(run)
    return f"{run.rows} questions × {len(run.seeds)} seeds of {run.split}, prompt {run.prompt.name}"


async def quick(config: EvalConfig, runs: Sequence[BenchmarkRun]) -> list[Line]:
    """What `ns eval` looks at beside its plan, in the time of a blink: only what is wrong.

    Raises:
        ServerError: the variable that should hold the server's key is not set.
    """
    if config.server.base_url:
        servers.remote_endpoint(config.server, config.model)
    lines = [line for run in runs for line in await golds(run, _QUICK_GOLDS, quick=True)]
    return [line for line in lines if line.state != "ok"]


def _cluster(config: EvalConfig) -> str:
    cluster = clusters.load(config.cluster, config.config_dir, partition=config.partition)
    return f"{cluster.source}, jobs on {'this machine' if cluster.executor == 'local' else cluster.executor}"


def _folder(output_dir: Path) -> str:
    folder = plan.writable(output_dir)
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if free < _ROOM_BYTES:
        raise ServerError(f"{folder} has {free / 2**20:.0f} MiB left", hint="free some room, or another --output_dir")
    return f"{folder} can be written, {free / 2**30:.0f} GiB free"


def _model(config: EvalConfig, model: str) -> str:
    if config.server.base_url:
        endpoint = servers.remote_endpoint(config.server, config.model)
        return f"${endpoint.api_key_env} is set" if endpoint.api_key_env else f"{endpoint.base_url} is asked without one"
    models.check_weights(model, config.server_type or "")
    if config.server.name == "llamacpp":
        return str(gguf_below(model))
    chat = config.prompt_template is None and config.inference.endpoint_type != "text"
    checked = check_model(config.server, model, chat=chat)
    if checked is None:
        return f"{model}: the engine fetches it"
    size = f"{checked.size_bytes / 2**30:.1f} GiB" if checked.size_bytes > 2**30 else f"{checked.size_bytes / 2**20:.1f} MiB"
    template = "a chat template" if checked.chat_template else "no chat template"
    return f"{checked.architecture}, {checked.dtype}, {size}, {checked.tokenizer[0]}, {template}"


async def _sandbox(config: EvalConfig) -> Line:
    try:
        async with open_sandbox(config.sandbox) as box:
            session = box.session("check")
            execution = await session.run("print(6 * 7)")
            await session.close()
            walls = getattr(box, "walls", "") or config.sandbox.host
    except NsError as error:
        return Line("fail", "sandbox", error.message, error.hint or "")
    if execution.stdout.strip() != "42":
        return Line(
            "fail", "sandbox", f"`print(6 * 7)` gives {execution.stdout!r} {execution.stderr[:200]!r}", "docs/sandbox.md"
        )
    return Line("ok", "sandbox", walls)
