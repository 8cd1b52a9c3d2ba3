"""Weight files written anew: safetensors <-> bin, another dtype; one file in memory at a time. Owns torch, safetensors."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ns_eval.checkpoints.checkpoint import Checkpoint
from ns_eval.checkpoints.tensor_files import check_bin, json_object, safetensors
from ns_eval.errors import DataError, UsageError
from ns_eval.files import replacing, write_text

FORMATS = ("safetensors", "bin")
_STEMS = {"safetensors": "model", "bin": "pytorch_model"}
_INDEX = {"safetensors": "model.safetensors.index.json", "bin": "pytorch_model.bin.index.json"}
# Of a checkpoint folder, what is not weights and not wanted in the copy.
_LEFT_BEHIND = (".safetensors", ".bin", ".bin.index.json", ".safetensors.index.json", ".gguf", ".pt", ".pth", ".onnx", ".h5")


def require(*packages: str) -> None:
    """Refuses to begin without the heavy libraries that a step loads.

    Raises:
        UsageError: the first one that is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            extra = "gguf" if package == "gguf" else "hf"
            raise UsageError(f"the Python package `{package}` is not installed", hint=f"pip install 'ns-eval[{extra}]'")


def rewrite(source: Checkpoint, target: Path, form: str, dtype: str | None) -> None:
    """The same checkpoint in `target`, its weights in another form or dtype. Files that are there already are kept.

    Raises:
        DataError: a value that the dtype cannot hold (the tensor named).
        UsageError: a quantised checkpoint, whose numbers are not the weights themselves.
    """
    if source.quantized and dtype is not None:
        raise UsageError(f"{source.path} is quantised: its dtype cannot be changed", hint="leave --dtype out")
    target.mkdir(parents=True, exist_ok=True)
    copy_rest(source.path, target)
    places: dict[str, str] = {}
    count = len(source.weights)
    for number, file in enumerate(source.weights, start=1):
        stem = _STEMS[form]
        name = f"{stem}.{form}" if count == 1 else f"{stem}-{number:05}-of-{count:05}.{form}"
        names = _finished(target / name, form)
        if names is None:
            tensors = _converted(_load(file), dtype, tied=bool(source.config.get("tie_word_embeddings")))
            _save(tensors, target / name, form)
            names = list(tensors)
        places |= dict.fromkeys(names, name)
    if count > 1:
        size = sum(file.stat().st_size for file in target.glob(f"{_STEMS[form]}-*.{form}"))
        index = {"metadata": {"total_size": size}, "weight_map": places}
        write_text(target / _INDEX[form], json.dumps(index, indent=2) + "\n")
    if dtype is not None:
        set_dtype(target, dtype)


def copy_rest(source: Path, target: Path) -> None:
    """Copies what a checkpoint holds beside its weights: configuration, tokenizer, templates, code."""
    for file in sorted(source.iterdir()):
        if file.is_dir():
            if file.name == "additional_chat_templates":
                shutil.copytree(file, target / file.name, dirs_exist_ok=True, copy_function=shutil.copyfile)
        elif not file.name.startswith(".") and not file.name.endswith(_LEFT_BEHIND):
            with replacing(target / file.name) as out, file.open("rb") as data:
                shutil.copyfileobj(data, out)


def set_dtype(folder: Path, dtype: str) -> None:
    """Writes the dtype into config.json, under the names that it has there."""
    config = json_object(folder / "config.json")
    keys = [key for key in ("dtype", "torch_dtype") if key in config] or ["torch_dtype"]
    write_text(folder / "config.json", json.dumps({**config, **dict.fromkeys(keys, dtype)}, indent=2) + "\n")


# Tensors are torch's own, and torch is not imported until one is read: hence Any below.


def _load(file: Path) -> dict[str, Any]:
    import torch

    if file.suffix == ".bin":
        return dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True))
    from safetensors.torch import load_file

    return dict(load_file(file))


def _converted(tensors: Mapping[str, Any], dtype: str | None, *, tied: bool) -> dict[str, Any]:
    import torch

    seen: dict[int, str] = {}
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        if place in seen:
            if tied and name == "lm_head.weight":
                continue  # the embedding once more; safetensors files leave it out
            tensor = tensor.clone()
        seen[place] = name
        if dtype is not None and tensor.is_floating_point():
            cast = tensor.to(getattr(torch, dtype))
            if torch.isinf(cast).any() and not torch.isinf(tensor).any():
                raise DataError(f"tensor `{name}` holds values that {dtype} cannot, up to {tensor.abs().max().item():g}")
            tensor = cast
        found[name] = tensor.contiguous()
    return found


def _save(tensors: Mapping[str, Any], path: Path, form: str) -> None:
    with replacing(path) as out:
        if form == "bin":
            import torch

            torch.save(dict(tensors), out)
        else:
            from safetensors.torch import save_file

            save_file(dict(tensors), out.name, metadata={"format": "pt"})


def _finished(path: Path, form: str) -> list[str] | None:
    """The tensor names of a file that an earlier try wrote; None where it is still to be written."""
    if not path.is_file():
        return None
    if form == "safetensors":
        return list(safetensors(path))
    check_bin(path)
    return list(_load(path))
