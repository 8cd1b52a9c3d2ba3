"""`ns convert` for TensorRT-LLM: an engine where its builder is found, else a staged checkpoint that says its limits."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ns_eval import conversion, convert_command
from ns_eval.checkpoints import checkpoint, staging
from ns_eval.compose import compose, overrides
from ns_eval.conversion import CONVERT_SPELLINGS, ConvertConfig
from ns_eval.errors import DataError, JobError, UsageError
from ns_eval.job_files import read_state
from tests.models import TINYMATH, change, made_up, tinymath
from tests.paths import REPO

FAKE = REPO / "tests/peers/fake_trtllm"
# The command line of the NeMo-Skills document on OpenMath-Nemotron, word by word but for the two paths.
DOCUMENT = [
    *("--cluster=local", "--convert_from=hf", "--convert_to=trtllm", "--model_type=qwen", "--num_gpus=1"),
    *("--hf_model_name=nvidia/OpenMath-Nemotron-1.5B", "--max_input_len", "50000", "--max_seq_len", "50000"),
]


def typed(*words: str | Path) -> ConvertConfig:
    """The configuration of a command line."""
    return compose(ConvertConfig, overrides(ConvertConfig, [str(word) for word in words], CONVERT_SPELLINGS), ())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of the shape of OpenMath-Nemotron-1.5B's family, with a context of 131,072."""
    folder = tinymath(tmp_path / "OpenMath")
    change(folder / "config.json", max_position_embeddings=131072)
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TensorRT-LLM's stand-ins are installed; the file that they write their arguments to."""
    monkeypatch.setenv("PATH", f"{FAKE / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_TRTLLM_CALLS", str(tmp_path / "calls.jsonl"))
    return tmp_path / "calls.jsonl"


def made(calls: Path) -> list[list[str]]:
    return [json.loads(line) for line in calls.read_text().splitlines()]


def engine(model: Path, output: Path, *more: str) -> ConvertConfig:
    return typed(
        f"--input_model={model}", f"--output_model={output}", *DOCUMENT, f"++convert.examples={FAKE / 'examples'}", *more
    )


def test_the_documents_command_stages_the_checkpoint_where_no_builder_is_found(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "openmath-trtllm"
    assert convert_command.convert(typed(f"--input_model={model}", f"--output_model={output}", *DOCUMENT)) == 0
    assert capsys.readouterr().out.startswith(f"{output}  checkpoint: max_input_len 50000, max_seq_len 50000")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "not checked is whether its version serves Qwen2ForCausalLM" in warnings[0]
    manifest = json.loads((output / "ns_convert.json").read_text())
    assert manifest["mode"] == "checkpoint"
    assert manifest["source"]["hf_model_name"] == "nvidia/OpenMath-Nemotron-1.5B"
    assert manifest["unchecked"]
    assert checkpoint.limits(output) == checkpoint.Limits("checkpoint", 50000, 50000, None, 50000)
    assert checkpoint.inspect(output).config == checkpoint.inspect(model).config
    for file in model.iterdir():
        assert (output / file.name).read_bytes() == file.read_bytes()
    assert (output / "model.safetensors").samefile(model / "model.safetensors")
    assert not (output / "config.json").samefile(model / "config.json")
    assert not list(tmp_path.glob("*.partial"))


def test_a_job_converts_from_plain_values(model: Path, tmp_path: Path) -> None:
    config = typed(f"--input_model={model}", f"--output_model={tmp_path}/out", *DOCUMENT)
    conversion.run_job(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert checkpoint.limits(tmp_path / "out") == checkpoint.Limits("checkpoint", 50000, 50000, None, 50000)


def test_a_conversion_is_sent_as_a_job_and_what_is_wrong_is_said_before(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"--input_model={model}", "--output_model=out", "--convert_to=trtllm", "--max_seq_len=4096", "--detach"]
    with pytest.raises(UsageError, match="cannot be split over 3 GPUs"):
        convert_command.convert(typed(*words, "--num_gpus=3"))
    assert not list(tmp_path.glob("out*")), "nothing is sent that cannot be done"
    assert convert_command.convert(typed(*words)) == 0
    until(lambda: read_state(tmp_path / "out.job", "convert").ended is not None)
    assert read_state(tmp_path / "out.job", "convert").state == "done"
    limits = checkpoint.limits(tmp_path / "out")
    assert limits is not None and limits.max_seq_len == 4096
    far = tmp_path / "far.yaml"
    far.write_text("executor: slurm\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match="there is no `sbatch` here"):
        convert_command.convert(typed(*words[:-1], f"--cluster={far}"))


def test_weights_are_copied_on_request(model: Path, tmp_path: Path) -> None:
    conversion.convert(
        typed(f"--input_model={model}", f"--output_model={tmp_path}/out", "--convert_to=trtllm", "++convert.link=false")
    )
    assert (tmp_path / "out/model.safetensors").stat().st_nlink == 1
    assert (tmp_path / "out/model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_a_hub_snapshot_of_links_is_staged_as_files(model: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub/snapshots/1"
    snapshot.mkdir(parents=True)
    for file in model.iterdir():
        (snapshot / file.name).symlink_to(file)
    conversion.convert(typed(f"--input_model={snapshot}", f"--output_model={tmp_path}/out", "--convert_to=trtllm"))
    assert not [file for file in (tmp_path / "out").iterdir() if file.is_symlink()]
    checkpoint.inspect(tmp_path / "out")


def test_all_shards_and_their_index_are_staged(tmp_path: Path) -> None:
    model = made_up(tmp_path / "model", shards=3)
    conversion.convert(typed(f"--input_model={model}", f"--output_model={tmp_path}/out", "--convert_to=trtllm"))
    assert len(checkpoint.inspect(tmp_path / "out").weights) == 3


def test_the_documents_command_builds_an_engine_where_its_builder_is_found(
    model: Path, tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "trt"
    assert convert_command.convert(engine(model, output)) == 0
    assert capsys.readouterr().out.startswith(f"{output}  engine: max_input_len 50000, max_seq_len 50000")
    prepare, build = made(calls)
    halfway = f"{output}.partial/trt-checkpoint"
    places = f"--model_dir {model} --output_dir {halfway}"
    assert prepare == f"convert_checkpoint.py {places} --dtype bfloat16 --tp_size 1 --pp_size 1 --workers 1".split()
    places = f"--checkpoint_dir {halfway} --output_dir {output}.partial"
    plugins = "--gpt_attention_plugin bfloat16 --use_paged_context_fmha enable"
    sizes = "--max_batch_size 512 --max_input_len 50000 --max_seq_len 50000 --max_num_tokens 50000"
    assert build == f"trtllm-build {places} {plugins} {sizes}".split()
    names = {file.name for file in output.iterdir()}
    assert names == {
        *("config.json", "rank0.engine", "ns_convert.json", "conversion-logs"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"),
    }
    assert checkpoint.inspect(output).kind == "engine"
    assert checkpoint.limits(output) == checkpoint.Limits("engine", 50000, 50000, 512, 50000)
    (output / "ns_convert.json").unlink()
    assert checkpoint.limits(output) == checkpoint.Limits("engine", 50000, 50000, 512, 50000)


def test_what_the_user_gives_the_tools_wins_and_is_given_once(model: Path, tmp_path: Path, calls: Path) -> None:
    more = [
        "--trt_prepare_args=--dtype=float16 --use_weight_only --weight_only_precision int4",
        "--trt_build_args=--max_batch 64 --max_decoder_seq_len=40000 --gemm_plugin auto --fast_build",
        "--max_input_len=30000",
    ]
    conversion.convert(engine(model, tmp_path / "trt", *more))
    prepare, build = made(calls)
    assert prepare.count("--dtype") == 1 and prepare[prepare.index("--dtype") + 1] == "float16"
    assert prepare[-3:] == ["--use_weight_only", "--weight_only_precision", "int4"]
    options = [word for word in build if word.startswith("--")]
    assert len(options) == len(set(options))
    assert build[build.index("--max_batch_size") + 1] == "64"
    assert build[build.index("--max_seq_len") + 1] == "40000"
    assert build[-1] == "--fast_build"
    assert checkpoint.limits(tmp_path / "trt") == checkpoint.Limits("engine", 30000, 40000, 64, 30000)


def test_gpus_and_nodes_become_tensor_and_pipeline_ranks(tmp_path: Path, calls: Path) -> None:
    model = made_up(tmp_path / "model")
    conversion.convert(engine(model, tmp_path / "trt", "--num_gpus=2"))
    prepare, _ = made(calls)
    assert prepare[-6:] == ["--tp_size", "2", "--pp_size", "1", "--workers", "2"]
    assert [file.name for file in checkpoint.inspect(tmp_path / "trt").weights] == ["rank0.engine", "rank1.engine"]


def test_a_quantised_engine_goes_through_the_quantiser(model: Path, tmp_path: Path, calls: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"problem": "1 + 1"}\n')
    conversion.convert(engine(model, tmp_path / "trt", "--dtype=fp8", f"--calib_dataset={texts}", "--calib_size=1"))
    quantize = made(calls)[0]
    assert quantize[0] == "quantize.py"
    for word in ("--qformat fp8", f"--calib_dataset {texts}", "--calib_size 1", "--tp_size 1", "--pp_size 1"):
        assert word in " ".join(quantize)


def test_an_option_that_the_builder_lacks_is_refused_before_anything_runs(model: Path, tmp_path: Path, calls: Path) -> None:
    with pytest.raises(UsageError, match=r"no option `--max_inptu_len`, did you mean `--max_input_len`"):
        conversion.convert(engine(model, tmp_path / "trt", "--trt_build_args=--max_inptu_len 5"))
    assert not calls.exists()
    assert not (tmp_path / "trt.partial").exists()


def test_a_failed_build_says_why_and_the_same_command_goes_on(
    model: Path, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "trt"
    monkeypatch.setenv("FAKE_TRTLLM_FAIL", "trtllm-build")
    with pytest.raises(JobError) as error:
        conversion.convert(engine(model, output))
    assert "trtllm-build ended with exit code 1: RuntimeError: CUDA driver version is insufficient" in str(error.value)
    assert f"{output}.partial/conversion-logs/build.log" in str(error.value)
    assert not output.exists()
    monkeypatch.delenv("FAKE_TRTLLM_FAIL")
    conversion.convert(engine(model, output))
    assert [call[0] for call in made(calls)] == ["convert_checkpoint.py", "trtllm-build", "trtllm-build"]
    assert (output / "rank0.engine").read_bytes() == (model / "model.safetensors").read_bytes()
    conversion.convert(engine(model, output))
    assert len(made(calls)) == 3


def test_a_killed_conversion_leaves_no_process_and_goes_on(
    model: Path, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = engine(model, tmp_path / "trt")
    monkeypatch.setenv("FAKE_TRTLLM_HANG", str(tmp_path / "builder"))
    code = "import json, sys; from ns_eval.conversion import run_job; run_job(**json.loads(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps(dataclasses.asdict(config))]
    process = subprocess.Popen(command, cwd=REPO)
    until(lambda: (tmp_path / "builder").exists() and bool((tmp_path / "builder").read_text()))
    builder = int((tmp_path / "builder").read_text())
    process.kill()
    process.wait()
    until(lambda: not Path(f"/proc/{builder}").exists())
    assert not (tmp_path / "trt").exists()
    monkeypatch.delenv("FAKE_TRTLLM_HANG")
    conversion.convert(config)
    assert [call[0] for call in made(calls)] == ["convert_checkpoint.py", "trtllm-build", "trtllm-build"]
    assert checkpoint.inspect(tmp_path / "trt").kind == "engine"


def until(happened: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {limit_s:g} s"
        time.sleep(0.02)


def test_other_settings_do_not_go_on_with_what_is_left(
    model: Path, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "trt"
    monkeypatch.setenv("FAKE_TRTLLM_FAIL", "trtllm-build")
    with pytest.raises(JobError):
        conversion.convert(engine(model, output))
    monkeypatch.delenv("FAKE_TRTLLM_FAIL")
    conversion.convert(engine(model, output, "--dtype=fp16"))
    assert [call[0] for call in made(calls)] == ["convert_checkpoint.py", "trtllm-build"] * 2
    assert "float16" in made(calls)[2]


def test_an_earlier_try_is_left_aside_on_request(
    model: Path, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRTLLM_FAIL", "trtllm-build")
    with pytest.raises(JobError):
        conversion.convert(engine(model, tmp_path / "trt"))
    monkeypatch.delenv("FAKE_TRTLLM_FAIL")
    conversion.convert(engine(model, tmp_path / "trt", "--trt_reuse_tmp_engine=false"))
    assert [call[0] for call in made(calls)] == ["convert_checkpoint.py", "trtllm-build"] * 2


def test_an_engine_that_is_asked_for_and_cannot_be_built_is_an_error(model: Path, tmp_path: Path) -> None:
    asked = ["--convert_to=trtllm", "++convert.mode=engine"]
    with pytest.raises(UsageError, match="no engine can be built: trtllm-build is not installed"):
        conversion.convert(typed(f"--input_model={model}", f"--output_model={tmp_path}/out", *asked))
    assert not list(tmp_path.glob("out*"))


def test_a_builder_without_its_scripts_stages_and_says_so(
    model: Path, tmp_path: Path, calls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    conversion.convert(typed(f"--input_model={model}", f"--output_model={tmp_path}/out", *DOCUMENT))
    assert "TensorRT-LLM's checkpoint script is not found (++convert.examples=" in caplog.text
    assert json.loads((tmp_path / "out/ns_convert.json").read_text())["mode"] == "checkpoint"
    with pytest.raises(UsageError, match="TensorRT-LLM's checkpoint script is not found"):
        conversion.convert(
            typed(f"--input_model={model}", f"--output_model={tmp_path}/x", *DOCUMENT, "++convert.mode=engine")
        )


def test_the_checkpoint_is_staged_on_request_although_a_builder_is_there(model: Path, tmp_path: Path, calls: Path) -> None:
    conversion.convert(engine(model, tmp_path / "out", "++convert.mode=checkpoint"))
    assert checkpoint.inspect(tmp_path / "out").kind == "safetensors"
    assert not calls.exists()


def test_the_parents_other_flags_are_taken_or_answered(model: Path, tmp_path: Path) -> None:
    words = [f"--input_model={model}", f"--output_model={tmp_path}/out", "--convert-to", "trtllm"]
    assert typed(*words, "--expname=conversion", "--trt_reuse_tmp_engine", "False").trt_reuse_tmp_engine is False
    with pytest.raises(UsageError, match="conversion-logs"):
        typed(*words, "--log_dir=/logs")


def test_a_dry_run_prints_the_commands_and_writes_nothing(
    model: Path, tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert_command.convert(engine(model, tmp_path / "trt", "--dry_run")) == 0
    said = capsys.readouterr().out
    assert f"--model_dir {model}" in said and "--max_seq_len 50000" in said
    assert not list(tmp_path.glob("trt*")) and not calls.exists()


# (words, what is said)
REFUSED = [
    (["--convert_to=nemo"], "--convert_to=nemo is not done here"),
    (["--convert_to=megatron"], "Megatron Bridge does it"),
    (["--convert_from=nemo", "--convert_to=trtllm"], "NeMo's own exporter does it"),
    (["--convert_to=trt"], "did you mean `trtllm`?"),
    (["--convert_to=trtllm", "--num_gpus=4"], "its 6 attention heads do not divide by 4"),
    (["--convert_to=trtllm", "--num_gpus=0"], "give at least one of each"),
    (["--convert_to=trtllm", "--num_nodes=9"], "has 4 layers, which 9 nodes cannot share"),
    (["--convert_to=trtllm", "--model_type=llama"], "says it is qwen2"),
    (["--convert_to=trtllm", "--max_input_len=9", "--max_seq_len=8"], "--max_input_len=9 is more than --max_seq_len=8"),
    (["--convert_to=trtllm", "--max_seq_len=0"], "--max_seq_len=0: expected at least 1"),
    (["--convert_to=trtllm", "--dtype=fp8"], "calibrated on texts, and none are given"),
    (["--convert_to=trtllm", "--dtype=fp7"], "--dtype=fp7: did you mean `fp8`"),
    (["--convert_to=trtllm", "++convert.mode=engin"], "did you mean `engine`?"),
    (["--convert_to=hf", "--max_seq_len=50000"], "--max_seq_len belongs to --convert_to=trtllm"),
    (["--convert_to=hf", "--weights_format=pickle"], "--weights_format=pickle"),
    (["--convert_to=gguf", "--dtype=bf16"], "GGUF files are written in fp16, fp32 or q8_0"),
    (["--convert_to=gguf", "--quantization=fp8"], "--quantization=fp8 is not for gguf"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_written(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        conversion.check(typed(f"--input_model={TINYMATH}", f"--output_model={tmp_path}/out", *words))
    assert said in str(error.value)
    assert not list(tmp_path.iterdir())


def test_what_stands_in_the_place_of_the_output_is_not_touched(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"out exists"):
        conversion.convert(typed(f"--input_model={model}", f"--output_model={output}", *DOCUMENT))
    output.rename(tmp_path / "out.partial")
    with pytest.raises(UsageError, match=r"out.partial is in the way, and no conversion made it"):
        conversion.convert(typed(f"--input_model={model}", f"--output_model={output}", *DOCUMENT))
    assert (tmp_path / "out.partial/thesis.tex").read_text() == "years of work"
    with pytest.raises(UsageError, match="is the input as well"):
        conversion.convert(typed(f"--input_model={model}", f"--output_model={model}", *DOCUMENT))


def test_another_conversion_in_the_same_place_is_refused(model: Path, tmp_path: Path) -> None:
    words = [f"--input_model={model}", f"--output_model={tmp_path}/out", *DOCUMENT]
    conversion.convert(typed(*words))
    before = (tmp_path / "out/ns_convert.json").read_bytes()
    conversion.convert(typed(*words))
    assert (tmp_path / "out/ns_convert.json").read_bytes() == before
    with pytest.raises(UsageError, match="was converted with other settings"):
        conversion.convert(typed(*words, "--max_seq_len=60000"))


def test_a_spoilt_input_is_named_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"model.safetensors is cut off"):
        conversion.convert(typed(f"--input_model={model}", f"--output_model={tmp_path}/out", *DOCUMENT))
    assert not list(tmp_path.glob("out*"))


def test_a_place_that_cannot_be_written_is_refused(model: Path) -> None:
    file = model / "config.json"
    with pytest.raises(UsageError, match=r"nothing can be made in .*config.json, it is a file"):
        conversion.check(typed(f"--input_model={model}", f"--output_model={file}/out", *DOCUMENT))


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of a few megabytes; skips the test where none can be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs root: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_too_little_disk_is_seen_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        with pytest.raises(DataError) as error:
            conversion.convert(typed(f"--input_model={model}", f"--output_model={disk}/out", *DOCUMENT))
        assert "the conversion needs 3.6 MB" in str(error.value)
        assert not list(disk.iterdir())


def test_a_disk_that_becomes_full_leaves_nothing_under_the_final_name(model: Path, tmp_path: Path) -> None:
    config = typed(f"--input_model={model}", f"--output_model={tmp_path}/disk/out", *DOCUMENT)
    with small_disk(tmp_path / "disk", "6m") as disk:
        building = conversion.plan(config)
        (disk / "somebody-else").write_bytes(bytes(4 << 20))
        with pytest.raises(DataError, match=r"the disk of .*out.partial is full, in step `stage`"):
            staging.run(building)
        assert not (disk / "out").exists()
        (disk / "somebody-else").unlink()
        conversion.convert(config)
        assert (disk / "out/model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
        assert not (disk / "out.partial").exists()


def test_a_disk_that_a_tool_fills_is_told_as_such(
    model: Path, tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", "12m") as disk:
        monkeypatch.setenv("FAKE_TRTLLM_FILL", str(disk / "core"))
        with pytest.raises(DataError, match=r"is full, and trtllm-build ended with exit code 1"):
            conversion.convert(engine(model, disk / "trt"))
        assert not (disk / "trt").exists()
        (disk / "core").unlink()
        monkeypatch.delenv("FAKE_TRTLLM_FILL")
        conversion.convert(engine(model, disk / "trt"))
        assert checkpoint.inspect(disk / "trt").kind == "engine"


@pytest.mark.parametrize("kind", ["engine", "checkpoint"])
def test_what_was_made_is_served_by_trtllm_serve(kind: str, model: Path, tmp_path: Path, calls: Path) -> None:
    output = tmp_path / "out"
    conversion.convert(engine(model, output, f"++convert.mode={kind}"))
    limits = checkpoint.limits(output)
    assert limits is not None
    options = (
        ["--backend", "tensorrt", "--tokenizer", str(output)]
        if kind == "engine"
        else ["--max_seq_len", str(limits.max_seq_len)]
    )
    with serving(output, *options) as address:
        prompt = {"model": output.name, "messages": [{"role": "user", "content": "Add 12 and 30."}], "max_tokens": 16}
        status, reply = ask(f"{address}/v1/chat/completions", prompt)
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "The final answer is \\boxed{42}.")
        status, reply = ask(f"{address}/v1/chat/completions", prompt | {"top_q": 1})
        assert status == 400 and "extra_forbidden" in reply["message"]
        status, reply = ask(f"{address}/v1/completions", {"model": output.name, "prompt": "1 " * 50001})
        assert status == 400 and "should not exceed max_seq_len (50000)" in reply["message"]


@contextlib.contextmanager
def serving(model: Path, *options: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(FAKE / "bin/trtllm-serve"), "serve", str(model), "--host", "127.0.0.1", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "running on" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
