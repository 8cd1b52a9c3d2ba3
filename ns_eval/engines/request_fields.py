"""Which fields of a request a server honours: what it does not is mapped, switched on or refused before the run."""

from __future__ import annotations

import shlex

from ns_eval.config import ServerConfig
from ns_eval.context_limits import STRATEGIES
from ns_eval.endpoint import NEUTRAL
from ns_eval.engines.engine_argv import has_option
from ns_eval.errors import UsageError, suggest
from ns_eval.records import Sampling

# vLLM names the first two, and the last two are typed by hand everywhere; all four are taken and do nothing.
_SUCCESSORS = {
    "guided_json": "response_format or structured_outputs",
    "guided_choice": "structured_outputs",
    "guided_regex": "structured_outputs or regex",
    "extra_body": "its fields directly: ++inference.extra_body.NAME=VALUE",
}


def check_fields(server: ServerConfig, sampling: Sampling, *, seeded: bool) -> tuple[str, ...]:
    """What the run has to say about itself: one sentence for each field that is sent and does nothing there.

    Raises:
        UsageError: a sampling value, or a field of `inference.extra_body`, that this server drops in silence or refuses.
    """
    strategy = server.context_limit_retry_strategy
    if strategy not in STRATEGIES:
        raise UsageError(f"server.context_limit_retry_strategy={strategy}: {suggest(strategy, STRATEGIES[1:])}")
    switches = [f"--{name}" for name, value in server.args.items() if value not in (None, False)]
    switches += shlex.split(server.server_args)
    refused = [name for name in ("temperature", *_sent(sampling), *(["seed"] if seeded else [])) if name in server.refuses]
    for name in _sent(sampling):
        theirs = server.renames.get(name, name)
        if server.takes and theirs not in server.takes and name not in refused:
            raise UsageError(f"{server.name} does not honour `{name}`", hint=f"leave ++inference.{name} out")
        if name in server.ignores and not _switched_on(server, name, switches):
            raise UsageError(f"{server.name} ignores `{name}` in silence", hint=_switch(server, name))
    for name in sampling.extra_body:
        if server.takes and name not in server.takes:
            wanted = _SUCCESSORS.get(name)
            known = f"it takes {wanted}" if wanted else suggest(name, server.takes)
            raise UsageError(f"{server.name} does not know the request field `{name}`: {known}")
    notes = (f"the model refuses {', '.join(refused)}: its own default applies",) if refused else ()
    if seeded and "seed" in server.ignores and not _switched_on(server, "seed", switches):
        said = f"{server.name} ignores seeds: its samples differ, but none can be asked for again"
        return (*notes, f"{said} ({_switch(server, 'seed')})")
    return notes


def _sent(sampling: Sampling) -> list[str]:
    """The fields that this sampling switches on."""
    found = [name for name, off in NEUTRAL.items() if getattr(sampling, name) != off]
    found += ["stop"] if sampling.stop else []
    return found + (["logprobs"] if sampling.top_logprobs is not None else [])


def _switched_on(server: ServerConfig, name: str, switches: list[str]) -> bool:
    option = server.ignores[name]
    return bool(option) and has_option(switches, server, option)


def _switch(server: ServerConfig, name: str) -> str:
    option = server.ignores[name]
    return f"--server_args=--{option} changes that" if option else f"leave ++inference.{name} out"
