"""Adapters are merged, dtypes and forms changed, and the result is shown to be the same model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ns_eval import conversion
from ns_eval.checkpoints import checkpoint
from ns_eval.conversion import ConvertConfig
from ns_eval.errors import DataError, UsageError
from tests.models import TINYMATH, adapter, change, made_up, tinymath
from tests.paths import REPO, SHARED, needs_shared
from tests.peers.embedded_server import embedded, greedy_answers, right

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ns-eval[hf]'")
pytest.importorskip("safetensors", reason="safetensors is not installed: pip install 'ns-eval[hf]'")
from safetensors.torch import load_file, save_file  # noqa: E402

HARD = SHARED / "models/tinymath_lora_hard"
ROWS = [json.loads(line) for line in (REPO / "ns_eval/shipped/arithmetic/test.jsonl").read_text().splitlines()]


def convert(model: Path, output: Path, **settings: Any) -> dict[str, Any]:
    settings = {"convert_to": "hf", **settings}
    return conversion.convert(ConvertConfig(input_model=str(model), output_model=str(output), **settings))


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in checkpoint.inspect(folder).weights:
        found |= load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    return found


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_safetensors_become_bin_and_come_back_bit_by_bit(tmp_path: Path) -> None:
    convert(TINYMATH, tmp_path / "bin", weights_format="bin")
    assert checkpoint.inspect(tmp_path / "bin").kind == "bin"
    convert(tmp_path / "bin", tmp_path / "back")
    assert checkpoint.inspect(tmp_path / "back").kind == "safetensors"
    assert same(weights(tmp_path / "back"), weights(TINYMATH))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (TINYMATH / name).read_bytes()


def sharded(folder: Path) -> Path:
    """The shipped model in three files, as large checkpoints come."""
    tinymath(folder)
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(whole)
    places: dict[str, str] = {}
    for number in range(3):
        file = f"model-{number + 1:05}-of-00003.safetensors"
        part = {name: whole[name] for name in names[number::3]}
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def test_shards_stay_shards(tmp_path: Path) -> None:
    model = sharded(tmp_path / "model")
    convert(model, tmp_path / "bin", weights_format="bin")
    assert [file.name for file in checkpoint.inspect(tmp_path / "bin").weights] == [
        f"pytorch_model-{number:05}-of-00003.bin" for number in (1, 2, 3)
    ]
    assert not (tmp_path / "bin/model.safetensors.index.json").exists()
    assert same(weights(tmp_path / "bin"), weights(TINYMATH))


def test_a_changed_dtype_stands_in_the_weights_and_in_the_configuration(tmp_path: Path) -> None:
    convert(TINYMATH, tmp_path / "out", dtype="fp32")
    assert checkpoint.inspect(tmp_path / "out").dtype == "float32"
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "float32"
    before, after = weights(TINYMATH), weights(tmp_path / "out")
    assert all(torch.equal(before[name].float(), after[name]) for name in before)


def test_the_files_can_be_read_by_everybody_who_may_read_the_folder(tmp_path: Path) -> None:
    convert(TINYMATH, tmp_path / "out", dtype="fp32")
    assert {oct(file.stat().st_mode & 0o777) for file in (tmp_path / "out").iterdir()} == {"0o644"}


def test_a_value_that_the_dtype_cannot_hold_is_named(tmp_path: Path) -> None:
    model = tinymath(tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    tensors["model.norm.weight"][0] = 1e6
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"tensor `model.norm.weight` holds values that float16 cannot, up to 999424"):
        convert(model, tmp_path / "out", dtype="fp16")
    assert not (tmp_path / "out").exists()


def test_a_killed_rewriting_goes_on_with_the_next_file(tmp_path: Path) -> None:
    model = sharded(tmp_path / "model")
    output = tmp_path / "out"
    convert(model, output, dtype="fp32")
    # What a kill after the second file leaves: no mark of a finished step, two files, a half one under its partial name.
    partial = tmp_path / "out.partial"
    output.rename(partial)
    fingerprint = json.loads((partial / "ns_convert.json").read_text())["fingerprint"]
    (partial / "ns_convert.json").unlink()
    (partial / "ns_convert.progress.json").write_text(json.dumps({"fingerprint": fingerprint, "done": {}}))
    third = partial / "model-00003-of-00003.safetensors"
    third.rename(partial / "model-00003-of-00003.safetensors.123.partial")
    (partial / ".tmp0aF3").write_bytes(b"half")
    first = (partial / "model-00001-of-00003.safetensors").stat().st_mtime_ns
    convert(model, output, dtype="fp32")
    assert (output / "model-00001-of-00003.safetensors").stat().st_mtime_ns == first
    assert not [*output.glob("*.partial"), *output.glob(".tmp*")]
    assert all(torch.equal(tensor.float(), weights(output)[name]) for name, tensor in weights(TINYMATH).items())


def test_a_quantised_checkpoint_is_not_cast(tmp_path: Path) -> None:
    model = tinymath(tmp_path / "model")
    change(model / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(UsageError, match="is quantised already"):
        convert(model, tmp_path / "out", dtype="fp16")


def loaded(folder: Path) -> Any:
    transformers: Any = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'ns-eval[hf]'"
    )
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


@pytest.mark.slow
@needs_shared
def test_a_merged_model_answers_as_base_and_adapter_together(tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft", reason="peft is not installed: pip install 'ns-eval[hf]'")
    manifest = convert(TINYMATH, tmp_path / "out", adapter=f"hard:{HARD}", dtype="fp32")
    tokens = torch.arange(3, 903).reshape(3, 300)
    with torch.no_grad():
        base = loaded(TINYMATH)(input_ids=tokens).logits.log_softmax(-1)
        both = peft.PeftModel.from_pretrained(loaded(TINYMATH), str(HARD))(input_ids=tokens).logits.log_softmax(-1)
        merged = loaded(tmp_path / "out")(input_ids=tokens).logits.log_softmax(-1)
    assert float((merged - both).abs().max()) < 1e-3 < 1.0 < float((base - both).abs().max())
    found = manifest["steps"]["merge"]["found"]
    assert found["divergence"] < 1e-6 < 0.1 < found["adapter_effect"]
    assert manifest["source"]["adapter"]["name"] == "hard"
    assert manifest["source"]["adapter"]["rank"] == 16
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (TINYMATH, tmp_path / "out"))
    assert after == before | {"dtype": "float32"}


@pytest.mark.slow
@needs_shared
def test_the_merged_model_is_served_from_a_gguf_file_with_the_adapters_answers(tmp_path: Path) -> None:
    """The adapter was trained on the two hard levels: it answers differently, and more of those are right."""
    for package in ("peft", "transformers", "gguf", "xllamacpp"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'ns-eval[hf,gguf,embedded]'")
    convert(TINYMATH, tmp_path / "hard", adapter=f"hard:{HARD}")
    convert(tmp_path / "hard", tmp_path / "hard.gguf", convert_to="gguf")
    convert(TINYMATH, tmp_path / "direct.gguf", convert_to="gguf", adapter=f"hard:{HARD}")
    problems = [row["problem"] for row in ROWS]
    answers = {}
    for name, file in [("base", TINYMATH / "tinymath-f16.gguf"), ("hard", tmp_path / "hard.gguf")]:
        with embedded(file) as address:
            answers[name] = greedy_answers(address, problems)
    assert (tmp_path / "hard.gguf").read_bytes()[-100_000:] == (tmp_path / "direct.gguf").read_bytes()[-100_000:]
    assert sum(one != other for one, other in zip(answers["base"], answers["hard"], strict=True)) > 20
    hard = [number for number, row in enumerate(ROWS) if row["subset_for_metrics"] in ("level-2", "level-3")]
    gold = [ROWS[number]["expected_answer"] for number in hard]
    base, merged = ([answers[name][number] for number in hard] for name in ("base", "hard"))
    assert right(merged, gold) > right(base, gold)


@pytest.mark.slow
def test_an_adapter_that_only_peft_can_check_is_refused_with_its_words(tmp_path: Path) -> None:
    """A .bin checkpoint does not list its tensors."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'ns-eval[hf]'")
    convert(TINYMATH, tmp_path / "bin", weights_format="bin")
    other = adapter(tmp_path / "lora", inputs=96, target_modules=["up_proj"], task_type="CAUSAL_LM")
    with pytest.raises(DataError, match=r"adapter lora does not fit .*size mismatch|adapter lora does not fit .*shape"):
        convert(tmp_path / "bin", tmp_path / "out", adapter=str(other))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@needs_shared
def test_an_adapter_with_numbers_that_are_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: pip install 'ns-eval[hf]'")
    broken = tmp_path / "broken"
    shutil.copytree(HARD, broken, copy_function=shutil.copyfile)
    broken.chmod(0o755)
    tensors = load_file(broken / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, broken / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="nan nats a token"):
        convert(TINYMATH, tmp_path / "out", adapter=str(broken))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@needs_shared
def test_an_adapter_without_effect_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: pip install 'ns-eval[hf]'")
    idle = tmp_path / "idle"
    shutil.copytree(HARD, idle, copy_function=shutil.copyfile)
    tensors = load_file(idle / "adapter_model.safetensors")
    zeroed = {name: torch.zeros_like(tensor) if "lora_B" in name else tensor for name, tensor in tensors.items()}
    idle.chmod(0o755)
    save_file(zeroed, idle / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="adapter idle changes nothing"):
        convert(TINYMATH, tmp_path / "out", adapter=str(idle))
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_base_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    other = adapter(tmp_path / "lora", inputs=96)
    with pytest.raises(DataError, match="does not fit"):
        convert(made_up(tmp_path / "base"), tmp_path / "out", adapter=str(other))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_a_quantised_checkpoint_is_written_by_modelopt(tmp_path: Path) -> None:
    for package in ("modelopt", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install nvidia-modelopt transformers")
    texts = REPO / "ns_eval/shipped/arithmetic/test.jsonl"
    settings = {"convert_to": "trtllm", "dtype": "fp8", "calib_dataset": str(texts), "calib_size": 4}
    manifest = convert(TINYMATH, tmp_path / "out", **settings, max_seq_len=2048)
    found = checkpoint.inspect(tmp_path / "out")
    assert found.config["quantization_config"]["quant_algo"] == "FP8"
    assert "F8_E4M3" in {tensor.dtype for tensor in found.tensors.values()}
    assert found.size_bytes < checkpoint.inspect(TINYMATH).size_bytes * 0.6
    assert found.config["rope_theta"] == 10000.0
    assert manifest["steps"]["quantize"]["found"]["texts"] == 4
    limits = checkpoint.limits(tmp_path / "out")
    assert limits is not None and limits.max_seq_len == 2048
