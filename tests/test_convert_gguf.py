"""A GGUF file that is written here computes the model it was made of, in llama.cpp."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ns_eval import conversion
from ns_eval.checkpoints import gguf_export
from ns_eval.checkpoints.checkpoint import inspect
from ns_eval.conversion import ConvertConfig
from ns_eval.engines.gguf_file import gguf_metadata
from ns_eval.errors import DataError, UsageError
from tests.models import TINYMATH, change, made_up, tinymath
from tests.paths import REPO
from tests.peers.embedded_server import embedded, greedy_answers, post

pytest.importorskip("gguf", reason="the gguf package is not installed: pip install 'ns-eval[gguf]'")
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the embedded engine is not installed"
)
SHIPPED = TINYMATH / "tinymath-f16.gguf"
ROWS = [json.loads(line) for line in (REPO / "ns_eval/shipped/arithmetic/test.jsonl").read_text().splitlines()]
PROBLEMS = [row["problem"] for row in ROWS]


@pytest.fixture(scope="module")
def shipped_answers() -> list[str]:
    with embedded(SHIPPED) as address:
        return greedy_answers(address, PROBLEMS)


def converted(tmp_path: Path, model: Path = TINYMATH, **settings: Any) -> Path:
    output = tmp_path / "model.gguf"
    conversion.convert(ConvertConfig(input_model=str(model), output_model=str(output), convert_to="gguf", **settings))
    return output


# (dtype, answers out of 100 that may differ from those of the shipped F16 file)
TYPES = [("fp16", 0), ("fp32", 2), ("q8_0", 20)]


@needs_engine
@pytest.mark.parametrize(("dtype", "differing"), TYPES)
def test_the_converted_model_gives_the_answers_of_the_shipped_file(
    dtype: str, differing: int, tmp_path: Path, shipped_answers: list[str]
) -> None:
    with embedded(converted(tmp_path, dtype=dtype)) as address:
        answers = greedy_answers(address, PROBLEMS)
    assert sum(mine != theirs for mine, theirs in zip(answers, shipped_answers, strict=True)) <= differing


def test_the_file_says_what_the_shipped_one_says(tmp_path: Path) -> None:
    mine, theirs = gguf_metadata(converted(tmp_path)), gguf_metadata(SHIPPED)
    assert {key: mine.get(key) for key in theirs} == theirs | {"general.name": "model"}


def test_a_folder_holds_the_file_and_says_where_it_came_from(tmp_path: Path) -> None:
    output = tmp_path / "tiny"
    conversion.convert(ConvertConfig(input_model=str(TINYMATH), output_model=str(output), convert_to="gguf", dtype="q8_0"))
    assert {file.name for file in output.iterdir()} == {"tiny-q8_0.gguf", "ns_convert.json"}
    manifest = json.loads((output / "ns_convert.json").read_text())
    assert (manifest["mode"], manifest["gguf_type"]) == ("gguf", "Q8_0")
    assert manifest["source"]["architecture"] == "Qwen2ForCausalLM"


def test_a_file_that_is_made_already_is_not_made_again(tmp_path: Path) -> None:
    output = converted(tmp_path)
    before = output.stat()
    assert converted(tmp_path).stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(UsageError, match="was converted with other settings"):
        converted(tmp_path, dtype="fp32")


def another_family(folder: Path) -> str:
    change(folder / "config.json", architectures=["Gemma3ForCausalLM"])
    return "is Gemma3ForCausalLM; GGUF is written here for Qwen2ForCausalLM, Qwen3ForCausalLM, LlamaForCausalLM"


def another_splitting_rule(folder: Path) -> str:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{N}{1,2}"
    change(folder / "tokenizer.json", **tokenizer)
    return "tokenizer.json cuts text by a rule that is not known here"


def a_sentencepiece_tokenizer(folder: Path) -> str:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    change(folder / "tokenizer.json", model=tokenizer["model"] | {"byte_fallback": True})
    return "only byte-level BPE is written here"


def more_tokens_than_rows(folder: Path) -> str:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    added = tokenizer["added_tokens"][0] | {"id": 1024, "content": "<|new|>"}
    change(folder / "tokenizer.json", added_tokens=[*tokenizer["added_tokens"], added])
    return "token 1024 `<|new|>` has no row in an embedding of 1024"


def another_position_scaling(folder: Path) -> str:
    change(folder / "config.json", rope_parameters={"rope_type": "longrope", "rope_theta": 1e4})
    return "position scaling `longrope` is not written here"


def a_sliding_window(folder: Path) -> str:
    change(folder / "config.json", use_sliding_window=True)
    return "attends through a sliding window"


def a_quantised_checkpoint(folder: Path) -> str:
    change(folder / "config.json", quantization_config={"quant_method": "fp8"})
    return "GGUF is made of plain safetensors weights"


@pytest.mark.parametrize(
    "spoil",
    [
        another_family,
        another_splitting_rule,
        a_sentencepiece_tokenizer,
        more_tokens_than_rows,
        another_position_scaling,
        a_sliding_window,
        a_quantised_checkpoint,
    ],
)
def test_what_is_not_written_here_is_refused_with_what_writes_it(spoil: Any, tmp_path: Path) -> None:
    model = tinymath(tmp_path / "model")
    said = spoil(model)
    with pytest.raises(UsageError) as error:
        converted(tmp_path, model)
    assert said in str(error.value)
    assert "convert_hf_to_gguf.py" in str(error.value)
    assert not list(tmp_path.glob("model.gguf*"))


def test_a_tensor_that_the_family_lacks_is_named(tmp_path: Path) -> None:
    model = made_up(tmp_path / "model")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes().replace(b"mlp.up_proj", b"mlp.ut_proj"))
    with pytest.raises(DataError, match=r"tensor `model.layers.0.mlp.ut_proj.weight` is none of the qwen2 family"):
        gguf_export.layout(inspect(model), "F16")


ROPE_LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
ROPE_YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 128}
SIZES = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": None,
}
# (family, what its configuration has beside SIZES)
FAMILIES = [
    ("Qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "tie_word_embeddings": False}),
    ("Qwen2", {"rope_parameters": ROPE_YARN, "tie_word_embeddings": True}),
    ("Qwen3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "head_dim": 32}),
    ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}, "tie_word_embeddings": True}),
    ("Llama", {"rope_parameters": ROPE_LLAMA_3, "tie_word_embeddings": False}),
]


@needs_engine
@pytest.mark.parametrize(("family", "config"), FAMILIES)
def test_each_family_computes_the_same_in_llama_cpp_as_in_transformers(
    family: str, config: Mapping[str, Any], tmp_path: Path
) -> None:
    """Random weights, so that every part matters; log-probabilities of the likeliest next tokens after 150 tokens.

    llama.cpp keeps keys and values in F16, which moves them by 0.003. Without the interleaved rows, the frequencies of
    Llama 3.1 or the factor of YaRN this fails.
    """
    transformers: Any = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'ns-eval[hf]'"
    )
    torch: Any = pytest.importorskip("torch")
    torch.manual_seed(1)
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**SIZES, **config)).eval()
    folder = tinymath(tmp_path / "model")
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and norms of a fresh model are 0 and 1, which would hide a mix-up
            parameter.data.normal_(0.5, 0.2)
    model.save_pretrained(folder)
    if family == "Llama":
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        cutter = tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]
        cutter["Regex"] = cutter["Regex"].replace(r"|\p{N}|", r"|\p{N}{1,3}|")
        change(folder / "tokenizer.json", **tokenizer)
    tokens = torch.randint(3, 1024, (1, 150)).tolist()[0]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
    expected = {int(token): float(logits[token]) for token in logits.topk(5).indices}
    with embedded(converted(tmp_path, folder, dtype="fp32"), slots=1) as address:
        body = {"prompt": tokens, "n_predict": 1, "n_probs": 5, "temperature": 0}
        found = post(f"{address}/completion", body)["completion_probabilities"][0]["top_logprobs"]
    assert {entry["id"]: entry["logprob"] for entry in found} == pytest.approx(expected, abs=1e-2)
