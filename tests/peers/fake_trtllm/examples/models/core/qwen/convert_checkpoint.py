"""A stand-in for TensorRT-LLM's checkpoint script of the Qwen family: the real option list and file names."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser()
    found.add_argument("--model_dir", required=True)
    found.add_argument("--output_dir", default="tllm_checkpoint")
    found.add_argument("--dtype", choices=["auto", "float16", "bfloat16", "float32"], default="auto")
    for name in ("tp_size", "pp_size", "cp_size", "workers", "moe_tp_size", "moe_ep_size"):
        found.add_argument(f"--{name}", type=int, default=1)
    found.add_argument("--weight_only_precision", choices=["int8", "int4", "int4_gptq", "int8_gptq"], default="int8")
    found.add_argument("--calib_dataset", default="ccdv/cnn_dailymail")
    found.add_argument("--smoothquant", "-sq", type=float)
    found.add_argument("--group_size", type=int, default=128)
    found.add_argument("--embedding_sharding_dim", type=int, choices=[0, 1], default=0)
    flags = ["use_weight_only", "disable_weight_only_quant_plugin", "per_channel", "per_token", "int8_kv_cache", "per_group"]
    for name in [*flags, "load_model_on_cpu", "use_parallel_embedding"]:
        found.add_argument(f"--{name}", action="store_true")
    return found


def main() -> None:
    options = parser().parse_args()
    calls = os.environ.get("FAKE_TRTLLM_CALLS")
    if calls:
        with Path(calls).open("a") as file:
            file.write(json.dumps(["convert_checkpoint.py", *sys.argv[1:]]) + "\n")
    source, output = Path(options.model_dir), Path(options.output_dir)
    config = json.loads((source / "config.json").read_text())
    output.mkdir(parents=True, exist_ok=True)
    world = options.tp_size * options.pp_size
    for rank in range(world):
        shutil.copyfile(next(source.glob("*.safetensors")), output / f"rank{rank}.safetensors")
    mapping = {"world_size": world, "tp_size": options.tp_size, "pp_size": options.pp_size}
    keys = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "max_position_embeddings")
    written = {"architecture": config["architectures"][0], "dtype": options.dtype, "mapping": mapping}
    written["quantization"] = {"quant_algo": "W8A16" if options.use_weight_only else None}
    (output / "config.json").write_text(json.dumps(written | {key: config[key] for key in keys}))


if __name__ == "__main__":
    main()
