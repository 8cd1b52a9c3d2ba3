"""A checkpoint quantised by NVIDIA's ModelOpt, in the form that trtllm-serve, vLLM and SGLang load. Owns modelopt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ns_eval.checkpoints.checkpoint import Checkpoint, inspect
from ns_eval.checkpoints.tensor_files import json_object
from ns_eval.checkpoints.weights import copy_rest
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json, read_jsonl

_CONFIGS = {"fp8": "FP8_DEFAULT_CFG", "nvfp4": "NVFP4_DEFAULT_CFG", "int4_awq": "INT4_AWQ_CFG"}
_LONGEST_TOKENS = 512
# The columns of calibration rows, the first that is there; a solution is added where there is one.
_TEXT_COLUMNS = ("text", "problem", "question", "prompt")
_ANSWER_COLUMNS = ("generation", "generated_solution", "reference_solution", "solution", "answer")


def calibration_texts(path: Path, count: int) -> list[str]:
    """The first `count` texts of a JSONL file.

    Raises:
        DataError: no such file, or a row without a text (by line).
    """
    if not path.is_file():
        raise DataError(f"--calib_dataset={path}: there is no such file")
    texts = []
    for number, row in read_jsonl(path):
        texts.append(_text(row, f"{path}:{number}"))
        if len(texts) == count:
            break
    if not texts:
        raise DataError(f"--calib_dataset={path} is empty")
    return texts


def quantize(source: Checkpoint, target: Path, form: str, texts: list[str]) -> dict[str, Json]:
    """Writes the quantised checkpoint; the activations' ranges come from running the model over `texts`.

    Raises:
        DataError: transformers cannot load the model.
        UsageError: ModelOpt has no such form, or not for these shapes.
    """
    import modelopt
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint

    from ns_eval.checkpoints.merging import load

    model = load(source.path, "auto")
    tokens = list(_tokens(source.path, texts))
    if not hasattr(mtq, _CONFIGS[form]):
        raise UsageError(f"ModelOpt {modelopt.__version__} has no {_CONFIGS[form]}", hint="pip install -U nvidia-modelopt")

    def calibrate(model: Any) -> None:
        for ids in tokens:
            model(input_ids=ids)

    try:
        mtq.quantize(model, getattr(mtq, _CONFIGS[form]), calibrate)
        export_hf_checkpoint(model, export_dir=target)
    except NotImplementedError as error:
        raise UsageError(f"ModelOpt cannot quantise {source.path} to {form}: {error}") from error
    _restore_configuration(source.path, target)
    inspect(target, tokenizer=False)
    return {"modelopt": modelopt.__version__, "texts": len(tokens), "tokens": sum(int(ids.numel()) for ids in tokens)}


def _restore_configuration(source: Path, target: Path) -> None:
    """The source's own files, in their own spelling, with what the quantisation added to config.json."""
    added = json_object(target / "config.json").get("quantization_config")
    copy_rest(source, target)
    if added is not None:
        config = json_object(target / "config.json") | {"quantization_config": added}
        (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _tokens(path: Path, texts: list[str]) -> Iterator[Any]:
    from ns_eval.checkpoints.merging import tokenizer

    read = tokenizer(path)
    for text in texts:
        yield read(text, return_tensors="pt", truncation=True, max_length=_LONGEST_TOKENS)["input_ids"]


def _text(row: dict[str, Json], where: str) -> str:
    for column in _TEXT_COLUMNS:
        if isinstance(row.get(column), str):
            answer = next((str(row[name]) for name in _ANSWER_COLUMNS if isinstance(row.get(name), str)), "")
            return f"{row[column]}\n{answer}".strip()
    raise DataError(f"{where}: no calibration text; columns looked for: {', '.join(_TEXT_COLUMNS)}")
