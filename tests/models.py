"""Small model folders for tests: the shipped one, copied, and made-up ones of the right shape without real weights."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.paths import REPO

TINYMATH = REPO / "ns_eval/shipped/tinymath"


def tinymath(folder: Path) -> Path:
    """A copy of the shipped Hugging Face checkpoint, to be changed at will."""
    folder.mkdir(parents=True)
    for file in TINYMATH.iterdir():
        if file.suffix != ".gguf":
            shutil.copyfile(file, folder / file.name)
    return folder


def change(file: Path, **values: Any) -> None:
    """Sets keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def write_safetensors(path: Path, tensors: Mapping[str, tuple[int, ...]]) -> None:
    """A safetensors file of BF16 zeros in these shapes."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def made_up(folder: Path, *, shards: int = 1, **config: Any) -> Path:
    """A folder that looks like a small Qwen2 checkpoint with 8 heads; `config` replaces keys of config.json."""
    folder.mkdir(parents=True)
    values = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "num_hidden_layers": shards,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(values | config))
    (folder / "tokenizer.json").write_text("{}")
    places = {}
    for number in range(1, shards + 1):
        name = "model.safetensors" if shards == 1 else f"model-{number:05}-of-{shards:05}.safetensors"
        tensor = f"model.layers.{number - 1}.mlp.up_proj.weight"
        write_safetensors(folder / name, {tensor: (128, 64)})
        places[tensor] = name
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def adapter(folder: Path, *, inputs: int = 64, outputs: int = 128, rank: int = 8, **config: Any) -> Path:
    """A LoRA adapter of zeros for the one module of `made_up`."""
    folder.mkdir(parents=True)
    values = {"peft_type": "LORA", "r": rank, "base_model_name_or_path": "somebody/base", "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(values | config))
    module = "base_model.model.model.layers.0.mlp.up_proj"
    shapes = {f"{module}.lora_A.weight": (rank, inputs), f"{module}.lora_B.weight": (outputs, rank)}
    write_safetensors(folder / "adapter_model.safetensors", shapes)
    return folder
