"""Numbers that a key's type allows and its meaning does not: refused where the command line is read."""

from __future__ import annotations

from ns_eval.errors import UsageError

# Key -> (least, most). A time of nothing would end every request; a port of 0 is a free one.
RANGES: dict[str, tuple[float, float | None]] = {
    "max_concurrent_requests": (1, None),
    "starting_seed": (0, None),
    "budget_usd": (0, None),
    "inference.temperature": (0, None),
    "inference.top_p": (0, 1),
    "inference.min_p": (0, 1),
    "inference.repetition_penalty": (0.001, None),
    "inference.tokens_to_generate": (1, None),
    "inference.top_logprobs": (0, None),
    "inference.timeout_s": (0.001, None),
    "server.port": (0, 65535),
    "server.gpus": (0, None),
    "server.nodes": (1, None),
    "server.max_num_seqs": (1, None),
    "server.context": (1, None),
    "server.threads": (1, None),
    "server.gpu_layers": (-1, None),
    "server.restarts": (0, None),
    "server.restart_pause_s": (0, None),
    "server.ready_timeout_s": (0.001, None),
    "server.health_timeout_s": (0.001, None),
}


def check_ranges(config: object) -> None:
    """Looks at every key above that a command has.

    Raises:
        UsageError: a number outside its range; the key is named.
    """
    for key, (least, most) in RANGES.items():
        value = config
        for name in key.split("."):
            value = getattr(value, name, None)
        if isinstance(value, (int, float)) and not least <= value <= (value if most is None else most):
            expected = f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
            raise UsageError(f"`{key}={value:g}`: expected {expected}")
