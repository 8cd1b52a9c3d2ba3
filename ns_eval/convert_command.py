"""`ns convert`: here and now, or as a job of a cluster."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

from ns_eval import conversion, launch
from ns_eval.checkpoints import adapters
from ns_eval.checkpoints.staging import record_of
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.commands import cluster_of
from ns_eval.conversion import ConvertConfig
from ns_eval.jobs import JobSpec

# What is kept as the user wrote it is not found from a job's folder.
_PATHS = ("input_model", "output_model", "calib_dataset")


def convert(config: ConvertConfig) -> int:
    """Converts, and says what was made on stdout."""
    if config.dry_run:
        for step in conversion.plan(config).steps:
            print(f"{step.name}: {shlex.join(step.argv) if step.argv else step.about}")
        return 0
    cluster = cluster_of(config)
    if cluster.executor != "local" or config.detach:
        return _as_job(config, cluster)
    print(conversion.described(conversion.convert(config), Path(config.output_model)))
    return 0


def _as_job(config: ConvertConfig, cluster: ClusterConfig) -> int:
    """Checks here what can be checked here, and sends the rest; `<output>.job` is the job's folder."""
    conversion.check(config)
    paths: dict[str, Any] = {name: str(Path(value).absolute()) for name in _PATHS if (value := getattr(config, name))}
    if config.adapter:
        name, adapter = adapters.parse(config.adapter)
        paths["adapter"] = f"{name}:{adapter.absolute()}"
    config = dataclasses.replace(config, **paths)
    output = Path(config.output_model)
    folder = output.with_name(f"{output.name}.job")
    folder.mkdir(parents=True, exist_ok=True)
    needs_gpus = config.convert_to == "trtllm" or config.quantization is not None
    job = JobSpec(
        name="convert",
        target="ns_eval.conversion:run_job",
        arguments=dataclasses.asdict(config),
        # Of a machine without GPUs none are asked for: a folder is staged there, and an engine could not be built.
        gpus=config.num_gpus if needs_gpus and cluster.executor != "local" else 0,
        container="trtllm" if config.convert_to == "trtllm" else "ns-eval",
    )
    submitted = launch.submit([job], cluster, folder, detach=config.detach)
    if config.detach:
        print(f"1 job started; `ns status {folder}` follows it", file=sys.stderr)
        return 0
    launch.wait(submitted)
    print(conversion.described(record_of(output), output))
    return 0
