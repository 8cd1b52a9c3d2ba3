"""A Hugging Face checkpoint of the Qwen2, Qwen3 or Llama 3 family as a GGUF file for llama.cpp. Owns gguf; needs no torch.

Names and numbers follow llama.cpp's convert_hf_to_gguf.py (b4000 and later); tensor names come from the gguf package's map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ns_eval.checkpoints.checkpoint import Checkpoint
from ns_eval.checkpoints.gguf_vocabulary import OTHER_CONVERTER, Vocabulary, vocabulary
from ns_eval.checkpoints.tensor_files import Tensor
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json

TYPES = ("F32", "F16", "Q8_0")
_FAMILIES = {"Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3", "LlamaForCausalLM": "llama"}
_BLOCK = 32  # values that share a scale in Q8_0
_SCALINGS = {"linear": "linear", "yarn": "yarn"}
Array = npt.NDArray[Any]  # F32, F16, or the bytes of Q8_0


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file will hold, known before anything is written. `kinds`: GGUF tensor name -> its GGML type's name."""

    family: str
    type: str
    vocabulary: Vocabulary
    sources: Mapping[str, Tensor]
    kinds: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensors."""
        return sum(_stored_bytes(self.sources[name].elements, kind) for name, kind in self.kinds.items())


def layout(source: Checkpoint, kind: str) -> Layout:
    """Checks a checkpoint and lays its tensors out.

    Raises:
        UsageError: a family, tokenizer, position scaling or quantisation that is not written here, with what does it.
        DataError: a tensor that the family does not have.
    """
    import gguf

    if source.architecture not in _FAMILIES:
        families = ", ".join(_FAMILIES)
        raise UsageError(
            f"{source.path} is {source.architecture}; GGUF is written here for {families}", hint=OTHER_CONVERTER
        )
    if source.kind != "safetensors" or source.quantized:
        raise UsageError(f"{source.path}: GGUF is made of plain safetensors weights", hint=OTHER_CONVERTER)
    if source.config.get("use_sliding_window"):
        raise UsageError(f"{source.path} attends through a sliding window", hint=OTHER_CONVERTER)
    family = _FAMILIES[source.architecture]
    _scaling(source)
    layers = _needed(source, "num_hidden_layers")
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, family.upper()), layers)
    tied = bool(source.config.get("tie_word_embeddings"))
    sources: dict[str, Tensor] = {}
    for name, tensor in source.tensors.items():
        if (tied and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise DataError(f"{tensor.file}: tensor `{name}` is none of the {family} family", hint=OTHER_CONVERTER)
        sources[target] = tensor
    rows = sources["token_embd.weight"].shape[0]
    kinds = {name: _kind(tensor, kind) for name, tensor in sources.items()}
    return Layout(family, kind, vocabulary(source.path, rows), sources, kinds)


def export(source: Checkpoint, kind: str, target: Path, name: str) -> None:
    """Writes the file; one tensor at a time is in memory. `name` is what the file calls the model."""
    import gguf

    plan = layout(source, kind)
    writer = gguf.GGUFWriter(target, plan.family)
    _write_sizes(writer, source, plan, name)
    _write_vocabulary(writer, source, plan.vocabulary)
    frequencies = _rope_frequencies(source)
    if frequencies is not None:
        writer.add_tensor_info("rope_freqs.weight", frequencies.shape, frequencies.dtype, frequencies.nbytes)
    for target_name, tensor in plan.sources.items():
        _announce(writer, target_name, tensor, plan.kinds[target_name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if frequencies is not None:
        writer.write_tensor_data(frequencies)
    for values in _tensors(source, plan):
        writer.write_tensor_data(values)
    writer.close()


def _tensors(source: Checkpoint, plan: Layout) -> Iterator[Array]:
    import gguf

    for name, tensor in plan.sources.items():
        values = _values(tensor)
        if plan.family == "llama" and (".attn_q." in name or ".attn_k." in name):
            heads = _needed(source, "num_attention_heads")
            groups = source.number("num_key_value_heads") or heads
            values = _interleaved(values, heads if ".attn_q." in name else groups)
        kind = plan.kinds[name]
        if kind == "F16" and np.abs(values).max() > np.finfo(np.float16).max:
            raise DataError(f"{tensor.file}: `{name}` holds values that F16 cannot", hint="--dtype=fp32")
        yield np.ascontiguousarray(gguf.quants.quantize(values, getattr(gguf.GGMLQuantizationType, kind)))


def _values(tensor: Tensor) -> npt.NDArray[np.float32]:
    """One tensor of a safetensors file as F32. BF16 is the upper half of an F32."""
    stored = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "F64": np.float64}[tensor.dtype]
    raw: Array = np.memmap(tensor.file, dtype=stored, mode="r", offset=tensor.start, shape=tensor.shape)
    if tensor.dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


def _interleaved(weights: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """llama.cpp rotates neighbouring pairs of a head's rows in this family, transformers the two halves."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def _kind(tensor: Tensor, kind: str) -> str:
    """Vectors stay F32; rows that do not divide into blocks become F16."""
    if len(tensor.shape) < 2:
        return "F32"
    return "F16" if kind == "Q8_0" and tensor.shape[-1] % _BLOCK else kind


def _stored_bytes(elements: int, kind: str) -> int:
    return {"F32": elements * 4, "F16": elements * 2, "Q8_0": elements // _BLOCK * (_BLOCK + 2)}[kind]


def _announce(writer: Any, name: str, tensor: Tensor, kind: str) -> None:
    import gguf

    size = _stored_bytes(tensor.elements, kind)
    if kind == "Q8_0":
        shape = (*tensor.shape[:-1], tensor.shape[-1] // _BLOCK * (_BLOCK + 2))
        writer.add_tensor_info(name, shape, np.dtype(np.uint8), size, gguf.GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32 if kind == "F32" else np.float16), size)


def _write_sizes(writer: Any, source: Checkpoint, plan: Layout, name: str) -> None:
    import gguf

    heads = _needed(source, "num_attention_heads")
    width = _needed(source, "hidden_size")
    head = source.number("head_dim") or width // heads
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if plan.type == "F32" else f"MOSTLY_{plan.type}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(_needed(source, "num_hidden_layers"))
    writer.add_context_length(_needed(source, "max_position_embeddings"))
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(_needed(source, "intermediate_size"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(source.number("num_key_value_heads") or heads)
    writer.add_vocab_size(len(plan.vocabulary.tokens))
    writer.add_layer_norm_rms_eps(float(source.config["rms_norm_eps"]))
    writer.add_rope_dimension_count(head)
    if plan.family == "qwen3" or head * heads != width:
        writer.add_key_length(head)
        writer.add_value_length(head)
    _write_positions(writer, source)


def _write_positions(writer: Any, source: Checkpoint) -> None:
    import gguf

    rope = _rope(source)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    scaling = _scaling(source)
    if scaling in _SCALINGS:
        writer.add_rope_scaling_type(gguf.RopeScalingType(_SCALINGS[scaling]))
        writer.add_rope_scaling_factor(float(rope["factor"]))
        if rope.get("original_max_position_embeddings"):
            writer.add_rope_scaling_orig_ctx_len(int(rope["original_max_position_embeddings"]))


def _write_vocabulary(writer: Any, source: Checkpoint, words: Vocabulary) -> None:
    import gguf

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.rule)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    special = gguf.SpecialVocab(source.path, load_merges=True, n_vocab=len(words.tokens))
    special.add_special_token.setdefault("bos", False)
    special.add_to_gguf(writer, quiet=True)


def _rope(source: Checkpoint) -> dict[str, Json]:
    """The rotary settings: transformers 5 nests them in rope_parameters, older files have rope_theta and rope_scaling."""
    config = source.config
    found: dict[str, Json] = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    found.setdefault("rope_theta", config.get("rope_theta") or 10000.0)
    return found


def _scaling(source: Checkpoint) -> str:
    rope = _rope(source)
    scaling = str(rope.get("rope_type") or rope.get("type") or "default")
    if scaling not in ("default", "llama3", *_SCALINGS):
        raise UsageError(f"{source.path}: position scaling `{scaling}` is not written here", hint=OTHER_CONVERTER)
    return scaling


def _rope_frequencies(source: Checkpoint) -> npt.NDArray[np.float32] | None:
    """Llama 3.1's scaling as divisors of the rotary frequencies, None where there is none.

    Source: transformers v4.46.0, src/transformers/modeling_rope_utils.py, `_compute_llama3_parameters`.
    """
    if _scaling(source) != "llama3":
        return None
    rope = _rope(source)
    head = source.number("head_dim") or _needed(source, "hidden_size") // _needed(source, "num_attention_heads")
    factor, low, high = float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    trained = int(rope["original_max_position_embeddings"])
    lengths = 2 * math.pi * float(rope["rope_theta"]) ** (np.arange(0, head, 2, dtype=np.float64) / head)
    blend = np.clip((trained / lengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - blend) / factor + blend)).astype(np.float32)


def _needed(source: Checkpoint, key: str) -> int:
    value = source.number(key)
    if value is None:
        raise DataError(f"{source.path / 'config.json'}: `{key}` is missing")
    return value
