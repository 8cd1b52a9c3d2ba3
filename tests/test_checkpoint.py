"""A model folder is described without loading it, and what is wrong with it is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ns_eval.checkpoints import checkpoint
from ns_eval.errors import DataError, UsageError
from tests.models import TINYMATH, change, made_up, tinymath, write_safetensors


def test_the_shipped_model_is_described() -> None:
    found = checkpoint.inspect(TINYMATH)
    assert (found.kind, found.architecture, found.model_type, found.dtype) == (
        "safetensors",
        "Qwen2ForCausalLM",
        "qwen2",
        "bfloat16",
    )
    assert (found.number("num_attention_heads"), found.context, found.quantized) == (6, 2048, False)
    assert found.chat_template
    assert found.size_bytes == (TINYMATH / "model.safetensors").stat().st_size
    assert sum(tensor.elements for tensor in found.tensors.values()) == 1_821_888


def cut(folder: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    return "model.safetensors is cut off: "


def cut_in_the_header(folder: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    return "is cut off within its header"


def cut_to_nothing(folder: Path) -> str:
    (folder / "model.safetensors").write_bytes(b"")
    return "model.safetensors is empty"


def with_a_damaged_header(folder: Path) -> str:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[8:20] = b"\xff" * 12
    file.write_bytes(data)
    return "model.safetensors is damaged: its header cannot be read"


def with_bytes_too_many(folder: Path) -> str:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"12345")
    return "5 bytes follow its last tensor"


def of_something_else(folder: Path) -> str:
    (folder / "model.safetensors").write_bytes(b"<!DOCTYPE html><html>you are not logged in</html>" * 20)
    return "is no safetensors file"


def that_is_a_pointer(folder: Path) -> str:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3649080\n")
    return "is a Git LFS pointer"


def without_weights(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return "holds no weights"


def without_configuration(folder: Path) -> str:
    (folder / "config.json").unlink()
    return "config.json is missing"


def with_damaged_configuration(folder: Path) -> str:
    (folder / "config.json").write_text('{"architectures": [')
    return "config.json is damaged"


def without_tokenizer(folder: Path) -> str:
    (folder / "tokenizer.json").unlink()
    return "has no tokenizer"


def that_lacks_a_layer(folder: Path) -> str:
    change(folder / "config.json", num_hidden_layers=5)
    return "says 5 layers, and layer 4 is in no weight file"


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        cut_in_the_header,
        cut_to_nothing,
        with_a_damaged_header,
        with_bytes_too_many,
        of_something_else,
        that_is_a_pointer,
        without_weights,
        without_configuration,
        with_damaged_configuration,
        without_tokenizer,
        that_lacks_a_layer,
    ],
)
def test_a_folder_that_is_spoilt_is_refused(spoil: Callable[[Path], str], tmp_path: Path) -> None:
    folder = tinymath(tmp_path / "model")
    said = spoil(folder)
    with pytest.raises(DataError) as error:
        checkpoint.inspect(folder)
    assert said in error.value.message
    assert str(folder) in error.value.message


def test_every_byte_that_is_missing_at_the_end_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    write_safetensors(whole, {"a": (3, 5), "b": (2,)})
    data = whole.read_bytes()
    part = tmp_path / "part.safetensors"
    from ns_eval.checkpoints.tensor_files import safetensors

    assert set(safetensors(whole)) == {"a", "b"}
    for length in range(len(data)):
        part.write_bytes(data[:length])
        with pytest.raises(DataError):
            safetensors(part)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "model", shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        DataError, match=r"model-00002-of-00003.safetensors is missing, model.safetensors.index.json names it"
    ):
        checkpoint.inspect(folder)


def test_a_missing_shard_is_named_without_an_index(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "model", shards=3)
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(DataError, match=r"model-00003-of-00003.safetensors is missing, the file names"):
        checkpoint.inspect(folder)


def test_a_tensor_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "model", shards=2)
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    change(index, weight_map=places | {"lm_head.weight": "model-00001-of-00002.safetensors"})
    with pytest.raises(DataError, match=r"no weight file holds tensor `lm_head.weight`"):
        checkpoint.inspect(folder)


def test_a_torch_archive_that_is_cut_is_refused(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    archive = Path(shutil.make_archive(str(tmp_path / "weights"), "zip", folder))
    shutil.move(archive, folder / "pytorch_model.bin")
    assert checkpoint.inspect(folder).kind == "bin"
    weights = folder / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"pytorch_model.bin is cut off or damaged"):
        checkpoint.inspect(folder)


def test_a_folder_of_another_kind_is_told_apart(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(DataError) as error:
        checkpoint.inspect(adapter)
    assert "it is a LoRA adapter" in str(error.value)
    tinymath(tmp_path / "hub/snapshots/1234")
    with pytest.raises(DataError) as error:
        checkpoint.inspect(tmp_path / "hub")
    assert f"did you mean {tmp_path}/hub/snapshots/1234?" in str(error.value)
    with pytest.raises(DataError, match="there is no model folder"):
        checkpoint.inspect(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file, not a model folder"):
        checkpoint.inspect(TINYMATH / "config.json")


# (heads, key-value heads, width, GPUs, what is said or None)
SPLITS = [
    (8, 8, 256, 1, None),
    (8, 2, 256, 8, None),  # each key-value head on four GPUs
    (8, 8, 256, 3, "its 8 attention heads do not divide by 3"),
    (12, 2, 8960, 4, None),  # Qwen2.5-1.5B
    (12, 2, 8960, 8, "its 12 attention heads do not divide by 8"),
    (28, 4, 18944, 4, None),  # Qwen2.5-7B
    (28, 4, 18944, 8, "its 28 attention heads do not divide by 8"),
    (12, 4, 256, 6, "its 4 key-value heads neither divide by 6 nor into it"),
    (6, 3, 512, 3, "its feed-forward width of 512 does not divide by 3"),
]


@pytest.mark.parametrize(("heads", "groups", "width", "gpus", "said"), SPLITS)
def test_heads_are_checked_against_the_gpus(
    heads: int, groups: int, width: int, gpus: int, said: str | None, tmp_path: Path
) -> None:
    folder = made_up(tmp_path / "model", num_attention_heads=heads, num_key_value_heads=groups, intermediate_size=width)
    model = checkpoint.inspect(folder)
    if said is None:
        checkpoint.check_split(model, gpus)
    else:
        with pytest.raises(UsageError) as error:
            checkpoint.check_split(model, gpus)
        assert said in error.value.message
        assert "numbers of GPUs that work: 1" in str(error.value)


def test_numbers_of_a_nested_language_model_are_found(tmp_path: Path) -> None:
    nested = {"num_attention_heads": 16, "num_hidden_layers": 1, "max_position_embeddings": 4096}
    folder = made_up(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({"architectures": ["Some"], "text_config": nested}))
    found = checkpoint.inspect(folder)
    assert (found.number("num_attention_heads"), found.context) == (16, 4096)


def test_an_engine_says_for_what_it_was_built(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.mkdir()
    pretrained = {"architecture": "Qwen2ForCausalLM", "mapping": {"tp_size": 2, "pp_size": 1}, "num_attention_heads": 8}
    built = {"max_input_len": 50000, "max_seq_len": 50000, "max_batch_size": 512, "max_num_tokens": 8192}
    (engine / "config.json").write_text(json.dumps({"pretrained_config": pretrained, "build_config": built}))
    (engine / "tokenizer.json").write_text("{}")
    (engine / "rank0.engine").write_bytes(b"0")
    with pytest.raises(DataError, match=r"rank1.engine is missing"):
        checkpoint.inspect(engine)
    (engine / "rank1.engine").write_bytes(b"1")
    assert checkpoint.inspect(engine).kind == "engine"
    assert checkpoint.limits(engine) == checkpoint.Limits("engine", 50000, 50000, 512, 8192, tp_size=2)


def test_a_checkpoint_that_was_not_converted_has_no_limits() -> None:
    assert checkpoint.limits(TINYMATH) is None
