"""The options file by which trtllm-serve is told of LoRA adapters; which of them answers is said in each request.

Source: https://nvidia.github.io/TensorRT-LLM/1.3.0rc24/features/lora.html; the names of the modules are those of
`get_default_trtllm_modules_to_hf_modules` in tensorrt_llm/lora_manager.py of the same version. Not run on a GPU here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ns_eval.checkpoints.adapters import Adapter
from ns_eval.errors import UsageError
from ns_eval.files import write_text

_MODULES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_dense",
    "gate_proj": "mlp_h_to_4h",
    "down_proj": "mlp_4h_to_h",
    "up_proj": "mlp_gate",
}


def write_options(path: Path, adapters: Sequence[Adapter], rank: int) -> Path:
    """Writes the file that `--extra_llm_api_options` names; JSON is YAML.

    Raises:
        UsageError: an adapter changes modules that TensorRT-LLM has no LoRA for.
    """
    modules = sorted({module for adapter in adapters for module in _targets(adapter)})
    config = {
        "lora_dir": [str(adapter.path.resolve()) for adapter in adapters],
        "max_lora_rank": rank,
        "max_loras": len(adapters),
        "max_cpu_loras": len(adapters),
        "lora_target_modules": [_MODULES[module] for module in modules],
        "trtllm_modules_to_hf_modules": {_MODULES[module]: module for module in modules},
    }
    write_text(path, json.dumps({"lora_config": config}, indent=2) + "\n")
    return path


def _targets(adapter: Adapter) -> list[str]:
    listed = adapter.config.get("target_modules")
    found = listed if isinstance(listed, list) else sorted(_changed(adapter))
    unknown = [name for name in found if name not in _MODULES]
    if unknown:
        raise UsageError(
            f"adapter {adapter.name} changes `{unknown[0]}`, for which TensorRT-LLM has no LoRA",
            hint="merge it: ns convert --convert_to=hf --adapter=…",
        )
    return [str(name) for name in found]


def _changed(adapter: Adapter) -> set[str]:
    return {name.partition(".lora_")[0].rpartition(".")[2] for name in adapter.tensors}
