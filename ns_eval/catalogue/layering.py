"""The YAMLs under the command line, weakest first: the server type's, the model's, the preset's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ns_eval import models
from ns_eval.arguments import Override
from ns_eval.catalogue import entries
from ns_eval.compose import flatten
from ns_eval.config import ServerConfig
from ns_eval.schema import refuse_unknown


def layers(given: Sequence[Override]) -> list[Override]:
    """Settings in the order in which they win, the strongest last; the command line wins over all of them.

    Raises:
        UsageError: an unknown server type or preset, a model that cannot be had.
    """
    typed = {item.key: item.text for item in given}
    found = models.layers(given)
    entry = models.find(typed.get("model", ""))
    name = typed.get("preset") or (entry.preset if entry else "")
    if not found or not name:
        return found
    preset = entries.preset(name)
    server_type = next(item.text for item in found if item.key == "server_type")
    inference = {key: value for key, value in asdict(preset.inference).items() if value not in (None, {})}
    found += [Override("preset", name, str), *flatten(inference, "inference.")]
    for values in (preset.server, preset.server_types.get(server_type, {})):
        refuse_unknown(ServerConfig, values, f"conf/preset/{name}.yaml", "server.")
        found += flatten(values, "server.")
    return found
