"""What a model folder holds and what is wrong with it: a Hugging Face checkpoint, a TensorRT-LLM engine, a converted one.

Nothing is loaded: config.json, the headers of the weight files and the names of the rest decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ns_eval.checkpoints.tensor_files import Tensor, check_bin, json_object, present, safetensors, weight_files
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json

MANIFEST = "ns_convert.json"
# Any one group is a tokenizer.
_TOKENIZERS = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("vocab.json", "merges.txt"),
    ("tekken.json",),
    ("tiktoken.model",),
    ("spiece.model",),
)
_LAYER = re.compile(r"^(?:model\.|language_model\.|text_model\.)*layers\.(\d+)\.")
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_MOST_GPUS = 16


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder that is whole. `kind` is safetensors, bin or engine; `tensors` is empty unless it is safetensors.

    Its numbers are those of the language model, also where config.json nests it; None where it says nothing.
    """

    path: Path
    kind: str
    config: Mapping[str, Json]
    weights: tuple[Path, ...]
    tokenizer: tuple[str, ...]
    chat_template: bool
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights."""
        return sum(file.stat().st_size for file in self.weights)

    @property
    def architecture(self) -> str:
        """The class that loads it, such as Qwen2ForCausalLM."""
        named = self.config.get("architectures") or [self.config.get("architecture")]
        return str(named[0] or "")

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type") or "")

    @property
    def quantized(self) -> bool:
        return bool(self.config.get("quantization_config"))

    @property
    def dtype(self) -> str:
        """bfloat16, float16 or float32: what most of the weights are, else what config.json says, else empty."""
        counted: dict[str, int] = {}
        for tensor in self.tensors.values():
            counted[tensor.dtype] = counted.get(tensor.dtype, 0) + tensor.elements
        if counted:
            return _DTYPES.get(max(counted, key=lambda name: counted[name]), "")
        return str(self.config.get("dtype") or self.config.get("torch_dtype") or "")

    def number(self, key: str) -> int | None:
        """A whole number of config.json, such as num_attention_heads."""
        value = self.config.get(key)
        if value is None and isinstance(self.config.get("text_config"), dict):
            value = self.config["text_config"].get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def context(self) -> int | None:
        """Tokens it was trained for."""
        return self.number("max_position_embeddings")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a converted model was made for: the later server start reads it from ns_convert.json or an engine's config.json.

    `mode` is engine (a TensorRT-LLM engine: tied to `tp_size` x `pp_size` GPUs) or checkpoint (a Hugging Face folder).
    """

    mode: str
    max_input_len: int | None = None
    max_seq_len: int | None = None
    max_batch_size: int | None = None
    max_num_tokens: int | None = None
    tp_size: int = 1
    pp_size: int = 1


def inspect(path: Path, *, tokenizer: bool = True) -> Checkpoint:
    """Checks a model folder and says what it is. Without `tokenizer` one need not be there.

    Raises:
        DataError: no config.json, a missing, cut or damaged weight file (named), no tokenizer.
    """
    config = _config(path)
    template = _has_template(path)
    found = tuple(name for group in _TOKENIZERS if all((path / name).is_file() for name in group) for name in group)
    if "pretrained_config" in config:
        engine = Checkpoint(path, "engine", config["pretrained_config"], _engine_files(path, config), found, template)
        return _with_tokenizer(engine, needed=tokenizer)
    kind, files, named = weight_files(path)
    tensors: dict[str, Tensor] = {}
    for file in files:
        if kind == "safetensors":
            tensors |= safetensors(file)
        else:
            check_bin(file)
    checkpoint = Checkpoint(path, kind, config, files, found, template, tensors)
    if kind == "safetensors":
        _check_complete(checkpoint, named)
    return _with_tokenizer(checkpoint, needed=tokenizer)


def limits(path: Path) -> Limits | None:
    """What a folder was converted for; None for a checkpoint that was not.

    Raises:
        DataError: the manifest or the engine's config.json cannot be read.
    """
    if (path / MANIFEST).is_file():
        written = json_object(path / MANIFEST).get("limits")
        if written is None:
            return None
        known = {item.name for item in fields(Limits)}
        try:
            return Limits(**{key: value for key, value in written.items() if key in known})
        except (TypeError, AttributeError) as error:
            raise DataError(
                f"{path / MANIFEST} is damaged: `limits` cannot be read", hint="convert the model again"
            ) from error
    config = json_object(path / "config.json") if (path / "config.json").is_file() else {}
    if "build_config" not in config:
        return None
    built, mapping = config["build_config"], _mapping(config)
    sizes = {name: built.get(name) for name in ("max_input_len", "max_seq_len", "max_batch_size", "max_num_tokens")}
    return Limits("engine", **sizes, tp_size=mapping["tp_size"], pp_size=mapping["pp_size"])


def check_split(checkpoint: Checkpoint, gpus: int, nodes: int = 1) -> None:
    """Refuses to split a model over GPUs that its heads cannot be dealt to; key-value heads may be repeated.

    Raises:
        UsageError: with the numbers of GPUs that work.
    """
    if gpus < 1 or nodes < 1:
        raise UsageError(f"{gpus} GPUs on {nodes} nodes: give at least one of each")
    reason = _unsplittable(checkpoint, gpus)
    if reason:
        good = [count for count in range(1, _MOST_GPUS + 1) if _unsplittable(checkpoint, count) is None]
        raise UsageError(
            f"{checkpoint.path} cannot be split over {gpus} GPUs: {reason}",
            hint=f"numbers of GPUs that work: {', '.join(map(str, good))}",
        )
    layers = checkpoint.number("num_hidden_layers")
    if layers is not None and nodes > layers:
        raise UsageError(f"{checkpoint.path} has {layers} layers, which {nodes} nodes cannot share", hint="use fewer nodes")


def _unsplittable(checkpoint: Checkpoint, gpus: int) -> str | None:
    heads = checkpoint.number("num_attention_heads")
    groups = checkpoint.number("num_key_value_heads")
    width = checkpoint.number("intermediate_size")
    if heads is not None and heads % gpus:
        return f"its {heads} attention heads do not divide by {gpus}"
    if groups is not None and groups % gpus and gpus % groups:
        return f"its {groups} key-value heads neither divide by {gpus} nor into it"
    if width is not None and width % gpus:
        return f"its feed-forward width of {width} does not divide by {gpus}"
    return None


def _config(path: Path) -> dict[str, Json]:
    if not path.exists():
        raise DataError(f"there is no model folder {path}")
    if not path.is_dir():
        raise DataError(f"{path} is a file, not a model folder", hint="give the folder that holds config.json")
    if (path / "config.json").is_file():
        return json_object(path / "config.json")
    raise DataError(f"{path} is no checkpoint: config.json is missing", hint=_looks_like(path))


def _looks_like(path: Path) -> str:
    """What a folder without config.json seems to be, and what to do then."""
    if (path / "adapter_config.json").is_file():
        return f"it is a LoRA adapter: give its base model, and --adapter={path}"
    inside = sorted(config.parent for config in path.glob("*/config.json")) + sorted(
        config.parent for config in path.glob("snapshots/*/config.json")
    )
    if inside:
        return f"did you mean {inside[-1]}?"
    if (path / "model_config.yaml").is_file() or any(path.glob("*.nemo")):
        return "it is a NeMo checkpoint: export it to Hugging Face form with NeMo's own exporter first"
    if any(path.glob("*.gguf")):
        return "it holds GGUF files: serve it with --server_type=llamacpp"
    return "a Hugging Face folder holds config.json, tokenizer files and *.safetensors"


def _check_complete(checkpoint: Checkpoint, named: frozenset[str]) -> None:
    missing = sorted(named - checkpoint.tensors.keys())
    if missing:
        raise DataError(f"{checkpoint.path}: no weight file holds tensor `{missing[0]}`, which the index names")
    found = {int(match[1]) for name in checkpoint.tensors if (match := _LAYER.match(name))}
    layers = checkpoint.number("num_hidden_layers")
    absent = sorted(set(range(layers or 0)) - found)
    if found and absent:
        raise DataError(
            f"{checkpoint.path}: config.json says {layers} layers, and layer {absent[0]} is in no weight file",
            hint="a weight file is missing: download the model again, whole",
        )


def _engine_files(path: Path, config: Mapping[str, Json]) -> tuple[Path, ...]:
    mapping = _mapping(config)
    return present(path, [f"rank{rank}.engine" for rank in range(mapping["tp_size"] * mapping["pp_size"])], "config.json")


def _mapping(config: Mapping[str, Json]) -> dict[str, int]:
    mapping = (config.get("pretrained_config") or {}).get("mapping") or {}
    return {key: int(mapping.get(key) or 1) for key in ("tp_size", "pp_size")}


def _with_tokenizer(checkpoint: Checkpoint, *, needed: bool) -> Checkpoint:
    if needed and not checkpoint.tokenizer:
        raise DataError(
            f"{checkpoint.path} has no tokenizer: servers start without one, and every request fails",
            hint="copy tokenizer.json and tokenizer_config.json of the original model into the folder",
        )
    return checkpoint


def _has_template(path: Path) -> bool:
    if any((path / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    config = path / "tokenizer_config.json"
    return config.is_file() and bool(json_object(config).get("chat_template"))
