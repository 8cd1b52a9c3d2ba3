"""A model, its adapters, GPUs and nodes are checked first, and each engine is started and asked by its own means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ns_eval.client import Client
from ns_eval.errors import DataError, ServerError, UsageError
from ns_eval.servers import Running
from tests.peers.standins import CHECKPOINT, ask, chat, configured, engines_on_path, nothing, script, served  # noqa: F401


def test_a_broken_checkpoint_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in CHECKPOINT.iterdir():
        if file.suffix != ".gguf":
            (model / file.name).write_bytes(file.read_bytes())
    shard = model / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"model\.safetensors"):
        served(configured("vllm"), tmp_path, nothing, path=str(model))
    shard.write_bytes((CHECKPOINT / "model.safetensors").read_bytes())
    (model / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="no chat template"):
        served(configured("vllm"), tmp_path, nothing, path=str(model))
    assert served(configured("vllm"), tmp_path, nothing, path=str(model), chat=False).argv
    assert not list((tmp_path / "log").glob("*node*"))


@pytest.fixture
def four_gpus(tmp_path: Path) -> Iterator[None]:
    """An nvidia-smi with four GPUs of 1 GiB, the last one nearly full."""
    rows = "\\n".join(f"{index}, GPU-{index}, 1024, {used}" for index, used in enumerate([0, 0, 0, 1023]))
    script(tmp_path / "bin" / "nvidia-smi", f'printf "{rows}\\n"')
    yield


@pytest.mark.usefixtures("four_gpus")
def test_gpus_are_checked_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match="--server_gpus=6, and this machine shows 4 GPUs"):
        served(configured("vllm", gpus=6), tmp_path, nothing, path="org/model")
    with pytest.raises(UsageError, match="6 attention heads do not divide by 4"):
        served(configured("vllm", gpus=4), tmp_path, nothing)
    running = served(configured("vllm", gpus=3), tmp_path, nothing, path="org/model")
    assert running.argv[running.argv.index("--tensor-parallel-size") + 1] == "3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(ServerError, match=r"CUDA_VISIBLE_DEVICES=3"):
        served(configured("vllm", gpus=2), tmp_path, nothing, path="org/model")
    with pytest.raises(ServerError, match=r"GPU 3 has 0\.0 of 1\.0 GiB free"):
        served(configured("vllm", gpus=1), tmp_path, nothing)


def test_a_driver_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "nvidia-smi", "echo 'NVIDIA-SMI has failed: no communication with the driver'; exit 9")
    with pytest.raises(ServerError, match=r"nvidia-smi fails: .*no communication with the driver"):
        served(configured("vllm", gpus=1), tmp_path, nothing)


def test_without_a_driver_no_gpu_is_promised(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="this machine shows 0 GPUs"):
        served(configured("vllm", gpus=1), tmp_path, nothing)


@pytest.mark.parametrize("name", ["vllm", "sglang", "trtllm"])
def test_adapters_are_loaded_with_their_rank_and_asked_for_by_each_servers_own_name(name: str, tmp_path: Path) -> None:
    adapter = lora(tmp_path / "a", rank=12)

    async def use(running: Running) -> list[str]:
        found = []
        for endpoint in (running.endpoint, running.adapters["mine"]):
            async with Client(endpoint, alive=running.alive) as client:
                found.append((await client.complete(chat(1), timeout_s=20)).text)
        return [*found, " ".join(running.argv)]

    base, asked, argv = served(configured(name, adapters={"mine": str(adapter)}), tmp_path, use)
    assert (base, asked) == ("base", "adapter mine")
    if name == "trtllm":
        told = json.loads((tmp_path / "log" / "lora.yaml").read_text())["lora_config"]
        assert (told["max_lora_rank"], told["lora_target_modules"]) == (16, ["attn_q"])
    else:
        assert "--max-lora-rank 16" in argv


def test_an_adapter_of_another_base_is_refused_before_the_start(tmp_path: Path) -> None:
    adapter = lora(tmp_path / "a", width=64)
    with pytest.raises(DataError, match=r"adapter mine does not fit .*q_proj"):
        served(configured("vllm", adapters={"mine": str(adapter)}), tmp_path, nothing)
    with pytest.raises(UsageError, match="exclude each other"):
        fitting = {"mine": str(lora(tmp_path / "b"))}
        served(configured("trtllm", adapters=fitting, server_args="--extra_llm_api_options x.yaml"), tmp_path, nothing)
    with pytest.raises(UsageError, match="llamacpp serves no LoRA adapters"):
        served(configured("llamacpp", adapters={"mine": str(adapter)}), tmp_path, nothing)


def lora(folder: Path, *, rank: int = 8, width: int = 192) -> Path:
    """A PEFT adapter for q_proj of the first layer, all zeros."""
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {f"{module}.lora_A.weight": [rank, width], f"{module}.lora_B.weight": [width, rank]}
    size = 4 * rank * width
    header = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [number * size, (number + 1) * size]}
        for number, (name, shape) in enumerate(shapes.items())
    }
    raw = json.dumps(header).encode()
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(2 * size))
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "bias": "none"}))
    return folder


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Slurm job of two nodes, whose srun starts what it is given here."""
    told = tmp_path / "srun"
    script(tmp_path / "bin" / "scontrol", "echo nodea; echo nodeb")
    run = 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"'
    script(tmp_path / "bin" / "srun", f'echo "$@" >> {told}; {run}')
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[a-b]")
    return told


@pytest.mark.parametrize(
    ("name", "leader", "follower"),
    [
        ("vllm", ["--nnodes 2", "--node-rank 0", "--master-addr nodea"], ["--node-rank 1", "--headless"]),
        ("sglang", ["--nnodes 2", "--node-rank 0", "--dist-init-addr nodea:"], ["--node-rank 1", "--dist-init-addr nodea:"]),
    ],
)
def test_several_nodes_are_started_by_the_engines_own_means(
    name: str, leader: list[str], follower: list[str], two_nodes: Path, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    server = configured(name, {"starts": str(starts)}, nodes=2)
    running = served(server, tmp_path, nothing)
    assert all(words in " ".join(running.argv) for words in leader)
    told = two_nodes.read_text()
    assert "--nodelist=nodeb" in told and all(words in told for words in follower)
    assert len(starts.read_text().splitlines()) == 2
    assert (tmp_path / "log" / "server-node1.log").is_file()


def test_a_node_that_ends_takes_the_engine_with_it(two_nodes: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin" / "srun", "echo 'RuntimeError: NCCL error'; exit 0")
    with pytest.raises(ServerError, match=r"ended while starting \(exit code 0\): RuntimeError: NCCL error"):
        served(configured("vllm", {"ready_s": 60}, nodes=2), tmp_path, nothing)


def test_mpi_starts_all_ranks_of_tensorrt_llm(two_nodes: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin" / "nvidia-smi", 'printf "0, G0, 9999, 0\\n1, G1, 9999, 0\\n"')
    script(tmp_path / "bin" / "trtllm-llmapi-launch", 'exec "$@"')
    server = configured("trtllm", nodes=2, gpus=2)
    running = served(server, tmp_path, nothing, path="org/m")
    assert running.argv[:8] == (
        "srun",
        "--overlap",
        "--mem=0",
        "--mpi=pmix",
        "--nodes=2",
        "--ntasks=4",
        "--ntasks-per-node=2",
        "trtllm-llmapi-launch",
    )
    assert running.argv[running.argv.index("--tp_size") + 1] == "4"


def test_several_nodes_without_slurm_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    with pytest.raises(ServerError, match="--server_nodes=2 needs a Slurm job of 2 nodes"):
        served(configured("vllm", nodes=2), tmp_path, nothing)


@pytest.mark.parametrize("engine", [True, False])
def test_what_convert_made_for_tensorrt_llm_is_served_within_its_limits(engine: bool, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in CHECKPOINT.iterdir():
        if file.suffix != ".gguf":
            (model / file.name).write_bytes(file.read_bytes())
    limits = {"mode": "engine" if engine else "checkpoint", "max_input_len": 50000, "max_seq_len": 50000}
    (model / "ns_convert.json").write_text(json.dumps({"limits": limits}))
    argv = " ".join(served(configured("trtllm"), tmp_path, nothing, path=str(model)).argv)
    assert "--max_seq_len 50000" in argv and "--max_input_len 50000" in argv
    assert (f"--backend tensorrt --tokenizer {model}" in argv) is engine
    argv = " ".join(served(configured("trtllm", context=4096), tmp_path, nothing, path=str(model)).argv)
    assert "--max_seq_len 4096" in argv and "50000 " not in argv.partition("--max_input_len")[0]
