"""What is started for a model, on each node: the model, its adapters and the GPUs checked, the argument lists filled."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ns_eval.checkpoints import adapters
from ns_eval.checkpoints.checkpoint import Checkpoint, check_split, inspect, limits
from ns_eval.config import ServerConfig
from ns_eval.engines.engine_argv import engine_argv, has_option
from ns_eval.engines.gpus import check_gpus
from ns_eval.engines.sockets import free_port
from ns_eval.engines.trtllm_lora import write_options
from ns_eval.errors import ServerError, UsageError


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be served: the weights at `path` under `name`, asked by chat or by text. What an engine wants to read from
    a file is written into `folder`.
    """

    name: str
    path: str
    port: int
    folder: Path
    chat: bool = True


def engine_commands(server: ServerConfig, start: Start) -> list[list[str]]:
    """One argument list a node, the leader's first; a single one where MPI starts the others.

    Raises:
        ServerError: too few GPUs or too little memory; several nodes without a Slurm job that holds them.
        UsageError, DataError: a model or adapter that is not whole, does not fit, or that this server cannot serve.
    """
    if "{entrypoint}" in server.argv and not server.entrypoint:
        raise UsageError(f"server type `{server.name}` needs a command", hint='--server_entrypoint="python serve.py"')
    checkpoint = check_model(server, start.path, chat=start.chat)
    if server.gpus:
        check_gpus(server.gpus, checkpoint, server.nodes)
    values = {
        "model": start.path,
        "name": start.name,
        "port": start.port,
        **_settings(server),
        **_converted(server, start.path),
        **_adapters(server, checkpoint, start.folder),
    }
    more = [server.adapter_args] if server.adapters else []
    if server.nodes == 1:
        return [engine_argv(server, values, *more)]
    if server.launcher:
        return [engine_argv(replace(server, argv=[*server.launcher, *server.argv]), values, *more)]
    hosts = _hosts(server.nodes)
    values |= {"leader": hosts[0], "leader_port": free_port(server.host)}
    found = [engine_argv(server, {**values, "rank": 0}, *more, server.leader_args)]
    for rank, host in enumerate(hosts[1:], 1):
        follower = engine_argv(server, {**values, "rank": rank}, *more, server.follower_args)
        found.append(["srun", "--overlap", "--mem=0", "--nodes=1", "--ntasks=1", f"--nodelist={host}", *follower])
    return found


def check_model(server: ServerConfig, path: str, *, chat: bool = True) -> Checkpoint | None:
    """The checked model folder, None for a hub id or a file; needs no GPU, so the login node can ask as well.

    Raises:
        UsageError, DataError: files missing or damaged, no chat template, heads that cannot be dealt over the GPUs.
    """
    if server.name in ("llamacpp", "generic") or not Path(path).is_dir():
        return None
    checkpoint = inspect(Path(path))
    if server.gpus and not has_option(shlex.split(server.server_args), server, "tensor-parallel-size"):
        check_split(checkpoint, server.gpus * server.nodes)
    # Mistral's own tokenizer files hold their template.
    templated = checkpoint.chat_template or "tekken.json" in checkpoint.tokenizer
    if chat and not templated and not has_option(shlex.split(server.server_args), server, "chat-template"):
        raise UsageError(
            f"{path} has no chat template: its server would start, and every request fail",
            hint="ask by text: --prompt_template=… (`ns show templates`), or --server_args='--chat-template FILE'",
        )
    return checkpoint


def _settings(server: ServerConfig) -> dict[str, object]:
    return {
        "host": server.host,
        "gpus": server.gpus,
        "all_gpus": server.gpus * server.nodes if server.gpus else None,
        "nodes": server.nodes,
        "max_num_seqs": server.max_num_seqs,
        "context": server.context,
        "threads": server.threads,
        "gpu_layers": server.gpu_layers,
        "entrypoint": shlex.split(server.entrypoint) or None,
    }


def _converted(server: ServerConfig, path: str) -> dict[str, object]:
    """The limits that a model was converted for by `ns convert`; unset where it was not, or where the user gives another."""
    found = limits(Path(path)) if Path(path).is_dir() else None
    engine = found is not None and found.mode == "engine"
    return {
        "max_seq_len": server.context or (found.max_seq_len if found else None),
        "max_input_len": found.max_input_len if found else None,
        "max_num_tokens": found.max_num_tokens if found else None,
        "engine_backend": "tensorrt" if engine else None,
        "engine_tokenizer": path if engine else None,
    }


def _adapters(server: ServerConfig, base: Checkpoint | None, folder: Path) -> dict[str, object]:
    """What {adapters}, {adapter_count}, {adapter_slots}, {adapter_rank} and {adapter_file} stand for."""
    if not server.adapters:
        return {}
    if not server.adapter_args:
        raise UsageError(
            f"{server.name} serves no LoRA adapters",
            hint="merge it first: ns convert --convert_to=hf --adapter=PATH …, then evaluate the merged checkpoint",
        )
    found = [adapters.inspect(f"{name}:{path}") for name, path in server.adapters.items()]
    for adapter in found:
        if base is not None:
            adapters.check_base(adapter, base)
    rank = adapters.serving_rank(found)
    values: dict[str, object] = {
        "adapters": [f"{adapter.name}={adapter.path}" for adapter in found],
        "adapter_count": len(found),
        "adapter_slots": len(found) + 1,
        "adapter_rank": rank,
    }
    if "extra_llm_api_options" in server.adapter_args:
        if has_option(shlex.split(server.server_args), server, "extra_llm_api_options"):
            raise UsageError(
                "--adapter and --server_args='--extra_llm_api_options …' exclude each other: the file holds the adapters",
                hint="give your other options on the command line, or serve a merged checkpoint",
            )
        values["adapter_file"] = write_options(folder / "lora.yaml", found, rank)
    return values


def _hosts(nodes: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The hosts of this Slurm job, this one first."""
    allocated = environment.get("SLURM_JOB_NODELIST")
    if allocated is None or shutil.which("scontrol") is None:
        raise ServerError(f"--server_nodes={nodes} needs a Slurm job of {nodes} nodes", hint="add --cluster=NAME")
    listed = subprocess.run(["scontrol", "show", "hostnames", allocated], capture_output=True, text=True, check=True)
    hosts = listed.stdout.split()
    if len(hosts) < nodes:
        raise ServerError(f"--server_nodes={nodes}, and the Slurm job holds {len(hosts)}: {', '.join(hosts)}")
    return hosts[:nodes]
