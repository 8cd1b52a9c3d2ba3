"""A stand-in for TensorRT-LLM's quantisation script: the option list that is known of it, and its file names."""

import argparse
import json
import os
import runpy
import sys
from pathlib import Path

FORMATS = ["fp8", "nvfp4", "int4_awq", "w4a8_awq", "int8_sq", "int8_wo", "int4_wo", "full_prec"]
BESIDE = Path(__file__).parents[1] / "models/core/qwen/convert_checkpoint.py"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--qformat", choices=FORMATS, default="full_prec")
    parser.add_argument("--kv_cache_dtype")
    parser.add_argument("--calib_dataset", default="cnn_dailymail")
    for name, default in (("calib_size", 512), ("batch_size", 1), ("tp_size", 1), ("pp_size", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    calls = os.environ.pop("FAKE_TRTLLM_CALLS", None)
    if calls:
        with Path(calls).open("a") as file:
            file.write(json.dumps(["quantize.py", *sys.argv[1:]]) + "\n")
    split = [f"--tp_size={options.tp_size}", f"--pp_size={options.pp_size}"]
    sys.argv = [str(BESIDE), "--model_dir", options.model_dir, "--output_dir", options.output_dir, *split]
    runpy.run_path(str(BESIDE), run_name="__main__")
    config = Path(options.output_dir) / "config.json"
    written = json.loads(config.read_text()) | {"quantization": {"quant_algo": options.qformat.upper()}}
    config.write_text(json.dumps(written))


if __name__ == "__main__":
    main()
