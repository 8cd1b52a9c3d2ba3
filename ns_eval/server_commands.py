"""`ns start_server` and `ns run_cmd`: a model server for the length of a foreground command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ns_eval import launch, models
from ns_eval.arguments import Spellings
from ns_eval.cluster import clusters
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.config import ServerConfig
from ns_eval.errors import UsageError
from ns_eval.files import write_text
from ns_eval.job_files import read_state
from ns_eval.jobs import JobSpec
from ns_eval.options import WhereConfig
from ns_eval.records import Json
from ns_eval.schema import REQUIRED, build, positional
from ns_eval.servers import Running, serving

# How often a server that nobody asks anything is looked at.
_LOOK_S = 1.0
_HERE = "127.0.0.1"
_ADDRESS = "address"


@dataclass
class StartServerConfig(WhereConfig):
    """Run a model server and print its address: here until Ctrl-C, or as a job until `ns cancel`.

    Examples:
        ns start_server --model=tinymath
        ns start_server --model=/models/qwen3-8b --server_type=vllm --server_gpus=2 --server_args="--max-model-len 32768"
        ns start_server --model=/models/x.gguf ++server.port=8000 ++server.host=0.0.0.0
        ns start_server --model=/models/qwen3-8b --server_type=vllm --server_gpus=1 --cluster=slurm
    """

    model: str = REQUIRED
    """A path, or a name in conf/model."""
    output_dir: str = "ns-server"
    """The folder of the job, where it is one; `ns cancel` of it ends the server."""
    server_type: str | None = None
    """llamacpp, vllm, sglang, trtllm, generic: conf/server. Default: the model's, or llamacpp for a GGUF file."""
    server_container: str | None = None
    """The container image of the job: a name in the cluster's `containers`, or the image. Default: the server type's."""
    endpoint_type: str = "chat"
    """chat or text: the route that must answer before the address is printed."""
    log_file: str = "server.log"
    """Where the server writes what it says; appended."""
    server: ServerConfig = field(default_factory=ServerConfig)
    """The model server."""


@dataclass
class RunCmdConfig:
    """Run a command next to a model server; its exit code is the command's.

    The command finds the server as $OPENAI_BASE_URL; {address} and {model} in its words are filled in. One word alone is
    given to the shell.

    Examples:
        ns run_cmd --model=tinymath -- python my_script.py --url {address}
        ns run_cmd --model=/models/q --server_type=vllm --server_gpus=1 "curl -s $OPENAI_BASE_URL/models | tee models.json"
        ns run_cmd -- nvidia-smi
    """

    command: list[str] = positional(many=True)  # noqa: RUF009
    """The command and its arguments, after `--` where it has options."""
    model: str | None = None
    """A path, or a name in conf/model; none: no server is started."""
    server_type: str | None = None
    """llamacpp, vllm, sglang, trtllm, generic: conf/server. Default: the model's, or llamacpp for a GGUF file."""
    endpoint_type: str = "chat"
    """chat or text: the route that must answer before the command starts."""
    log_file: str = "server.log"
    """Where the server writes what it says; appended."""
    server: ServerConfig = field(default_factory=ServerConfig)
    """The model server."""


SERVER_SPELLINGS = Spellings(
    aliases={
        "server_address": "server.base_url",
        "server_gpus": "server.gpus",
        "server_nodes": "server.nodes",
        "server_args": "server.server_args",
        "server_entrypoint": "server.entrypoint",
    },
    refused={
        "get_random_port": "the port is a free one unless ++server.port names it",
        "launch_chat_interface": "point any chat program at the address that is printed",
        "create_tunnel": "`ssh -L PORT:localhost:PORT HOST` does it",
    },
)


def start_server(config: StartServerConfig) -> int:
    """Runs one server until Ctrl-C or SIGTERM.

    Raises:
        ServerError: it does not start, or is given up after its restarts.
    """
    if config.server.base_url:
        raise UsageError("--server_address names a server that runs already", hint="leave it out to start one")
    cluster = clusters.load(
        config.cluster, config.config_dir, partition=config.partition, qos=config.qos, time_min=config.time_min
    )
    for note in clusters.notes(cluster, config.server_container):
        _say(note)
    if cluster.executor != "local" or config.detach:
        return _start_job(config, cluster)
    return _until_told(_serve(config))


def serve(**config: Json) -> None:
    """What the job calls: serves until it is cancelled, its address in a file of the job's folder."""
    asked = build(StartServerConfig, config, "ns start_server")
    _until_told(_serve(asked, Path(asked.output_dir) / _ADDRESS))


def _start_job(config: StartServerConfig, cluster: ClusterConfig) -> int:
    """Starts the job and returns when the server answers; other machines reach it under its node's name."""
    folder = Path(config.output_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ADDRESS).unlink(missing_ok=True)
    far = cluster.executor != "local"
    server = replace(config.server, host="0.0.0.0") if far and config.server.host == _HERE else config.server
    config = replace(config, server=server, output_dir=str(folder), log_file=str(folder / "server.log"))
    job = JobSpec(
        "server",
        "ns_eval.server_commands:serve",
        asdict(config),
        gpus=server.gpus or 0,
        nodes=server.nodes,
        container=config.server_container or config.server_type or "ns-eval",
    )
    submitted = launch.submit([job], cluster, folder, detach=True)
    while not (folder / _ADDRESS).exists():
        launch.raise_failures([item for item in submitted if read_state(folder, item.name).ended is not None])
        time.sleep(_LOOK_S / 4)
    print((folder / _ADDRESS).read_text().strip(), flush=True)
    _say(f"serving {config.model} as a job; `ns cancel {config.output_dir}` ends it, `ns logs` of it shows what it says")
    return 0


async def _serve(config: StartServerConfig, told: Path | None = None) -> int:
    async with _opened(config.model, config.server, config.log_file, config.endpoint_type) as running:
        print(running.endpoint.base_url, flush=True)
        if told is not None:
            host = socket.gethostname() if config.server.host == "0.0.0.0" else _HERE
            write_text(told, running.endpoint.base_url.replace(_HERE, host) + "\n")
        slots = "" if running.slots is None else f", {running.slots} requests at once"
        context = "" if running.context is None else f", {running.context} tokens each"
        _say(f"serving {running.endpoint.model}{slots}{context}; log {config.log_file}; Ctrl-C ends it")
        while running.alive is not None:
            await running.alive()
            await asyncio.sleep(_LOOK_S)
    return 0


def run_cmd(config: RunCmdConfig) -> int:
    """Starts the server where one is asked for, runs the command, ends the server; returns the command's exit code.

    Raises:
        ServerError: the server does not start.
        UsageError: no command.
    """
    if not config.command:
        raise UsageError("no command to run", hint="ns run_cmd --model=tinymath -- python my_script.py")
    return _until_told(_run(config))


async def _run(config: RunCmdConfig) -> int:
    if config.model is None:
        return await _ran(config.command, {})
    async with _opened(config.model, config.server, config.log_file, config.endpoint_type) as running:
        address, model = running.endpoint.base_url, running.endpoint.model
        words = [word.replace("{address}", address).replace("{model}", model) for word in config.command]
        # The SDK refuses to start without a key, and ours needs none.
        return await _ran(words, {"OPENAI_API_KEY": "none", **os.environ, "OPENAI_BASE_URL": address})


async def _ran(words: Sequence[str], environment: dict[str, str]) -> int:
    """The exit code of a command; it is ended when we are."""
    argv = ["sh", "-c", words[0]] if len(words) == 1 else list(words)
    try:
        process = await asyncio.create_subprocess_exec(*argv, env=environment or None)
    except OSError as error:
        raise UsageError(f"cannot run {argv[0]}: {error.strerror}") from error
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    return code if code >= 0 else 128 - code


@contextlib.asynccontextmanager
async def _opened(model: str, server: ServerConfig, log_file: str, route: str) -> AsyncIterator[Running]:
    if route not in ("chat", "text"):
        raise UsageError(f"--endpoint_type={route}: expected chat or text")
    _say(f"starting {server.name} for {model} …")
    async with serving(server, model, Path(log_file), path=models.weights(model), chat=route == "chat") as running:
        yield running


def _until_told(work: Coroutine[None, None, int]) -> int:
    """Runs `work`; SIGTERM and Ctrl-C cancel it, so that the server is ended properly, and are the normal end: 0."""

    async def watched() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return 0

    return asyncio.run(watched())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
