"""Cluster configs: where they are found, what they refuse, and how mounts translate paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ns_eval import cli
from ns_eval.cluster import clusters, mounts, slurm_jobs
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.slurm_jobs import Stage
from ns_eval.errors import UsageError
from ns_eval.jobs import JobSpec
from tests.paths import REPO

MOUNTED = ClusterConfig(mounts=["/data/me:/workspace", "/fast/models:/workspace/models", "/db:/database"], source="my.yaml")


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without configs, and no variable that names some."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("NEMO_SKILLS_CONFIG", raising=False)
    monkeypatch.delenv("NEMO_SKILLS_CONFIG_DIR", raising=False)


def test_without_a_name_it_is_this_machine() -> None:
    assert clusters.load(None).executor == "local"
    assert clusters.load(None).source == str(REPO / "cluster_configs/local.yaml")


def test_the_places_win_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "given", "mine", "partition: given")
    write(tmp_path / "variable", "mine", "partition: variable")
    write(tmp_path / "here/cluster_configs", "mine", "partition: here")
    assert clusters.load("mine").partition == "here"
    monkeypatch.setenv("NEMO_SKILLS_CONFIG_DIR", str(tmp_path / "variable"))
    assert clusters.load("mine").partition == "variable"
    assert clusters.load("mine", str(tmp_path / "given")).partition == "given"
    path = write(tmp_path / "elsewhere", "mine", "partition: path")
    assert clusters.load(str(path), str(tmp_path / "given")).partition == "path"


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_variable_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    path = write(tmp_path / "here/cluster_configs", "mine", "executor: slurm")
    monkeypatch.setenv("NEMO_SKILLS_CONFIG", "mine" if by == "name" else str(path))
    assert clusters.load(None).executor == "slurm"
    assert clusters.load("local").executor == "local"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("executr: slurm", "unknown key `executr`, did you mean `executor`"),
        ("executor: slrum", "did you mean `slurm`"),
        ("gpus: many", "`gpus`"),
        ("mounts: [data:/workspace]", "is not /source:/destination"),
        ("mounts: ['${NOT_SET_ANYWHERE}/x:/workspace']", r"\$NOT_SET_ANYWHERE is not set here"),
        ("timeouts: {gpu: 4h}", "`4h` is no time limit"),
        ("- executor", "expected a mapping"),
        ("executor: [", "not YAML"),
        ("slots: 0", "slots: 0 is too small"),
        ("source: x", "unknown key `source`"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, "mine", text)
    with pytest.raises(UsageError, match=message) as caught:
        clusters.load(str(path))
    assert str(path) in str(caught.value) or "4h" in text


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean `slurm`"):
        clusters.load("slurn")


def test_keys_of_the_parent_are_taken_and_explained(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", "executor: slurm\nssh_tunnel: {host: login1, user: me}\njob_dir: /x")
    told = "\n".join(clusters.notes(clusters.load(str(path))))
    assert "run `ns` on a login node" in told
    assert "job_dir" in told


def test_every_shipped_config_loads_and_its_comments_name_real_keys() -> None:
    known = set(clusters._keys())
    for path in (REPO / "cluster_configs").glob("*.yaml"):
        clusters.load(str(path))
        for line in path.read_text(encoding="utf-8").splitlines():
            key, colon, _ = line.removeprefix("# ").partition(":")
            if colon and line.startswith("# ") and key.isidentifier():
                assert key in known, f"{path.name}: the comment names `{key}`, which is no key"


@pytest.mark.parametrize(
    ("word", "moved"),
    [
        ("/workspace", "/data/me"),
        ("--model=/workspace/m", "--model=/data/me/m"),
        ("--model=/workspace/models/m", "--model=/fast/models/m"),
        ("--model=/workspace/models2/m", "--model=/data/me/models2/m"),
        ("/workspaces/m", "/workspaces/m"),
        ("/databases/x", "/databases/x"),
        ("/database/x", "/db/x"),
        ("/home/workspace/m", "/home/workspace/m"),
        ("http://host/workspace/v1", "http://host/workspace/v1"),
        ("++server.args.template=/workspace/t.jinja", "++server.args.template=/data/me/t.jinja"),
        ("++input_files=[/workspace/a,/workspace/b]", "++input_files=[/data/me/a,/data/me/b]"),
        ("hydra.searchpath=[file:///workspace/conf]", "hydra.searchpath=[file:///data/me/conf]"),
        ("--server_args=--chat-template /workspace/t", "--server_args=--chat-template /data/me/t"),
        ("a:/workspace/x", "a:/data/me/x"),
        ("workspace/x", "workspace/x"),
    ],
)
def test_paths_below_mounts_are_moved_by_whole_components(word: str, moved: str) -> None:
    assert mounts.at_source(MOUNTED, word) == moved


def test_a_moved_command_line_is_said_once() -> None:
    words, said = mounts.translate(MOUNTED, ["--model=/workspace/m", "--output_dir=/workspace/o"])
    assert words == ["--model=/data/me/m", "--output_dir=/data/me/o"]
    assert said is not None
    assert said.count("/workspace is /data/me") == 1
    assert mounts.translate(MOUNTED, ["--model=m"]) == (["--model=m"], None)


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "--model=/workspace/m", "--server_type=vllm", "--benchmarks=arithmetic", "--output_dir=/workspace/out"],
        [
            "generate",
            "--model=/workspace/m",
            "--server_type=vllm",
            "--input_file=/workspace/q",
            "--output_dir=/workspace/out",
        ],
        ["summarize_results", "/workspace/out"],
        ["compare", "/workspace/a", "/workspace/b"],
        ["regrade", "/workspace/out"],
        ["status", "/workspace/out"],
        ["retry", "/workspace/out"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_finds_a_path_at_its_source_and_says_so_once(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEMO_SKILLS_CONFIG", str(write(tmp_path, "mine", f"mounts: ['{tmp_path}/real:/workspace']")))
    assert cli.main(words) != 0
    said, error = capsys.readouterr().err.split("error:")
    assert said.count(f"/workspace is {tmp_path}/real") == 1
    assert f"{tmp_path}/real/" in error


def test_setup_writes_mounts_as_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEMO_SKILLS_CONFIG", str(write(tmp_path, "mine", "mounts: ['/old:/workspace']")))
    assert cli.main(["setup", "new", "--executor=local", "--mounts=/data:/workspace", f"--config_dir={tmp_path}"]) == 0
    assert clusters.load("new", str(tmp_path)).mounts == ["/data:/workspace"]


@pytest.mark.parametrize("words", [["--cluster=mine"], ["--cluster", "mine"], ["cluster=mine"], ["++cluster=mine"]], ids=str)
def test_the_cluster_is_found_on_a_command_line_in_every_spelling(tmp_path: Path, words: list[str]) -> None:
    write(tmp_path / "conf", "mine", "partition: found")
    assert mounts.of_words(["eval", *words, f"--config-dir={tmp_path / 'conf'}"]).partition == "found"


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("04:00:00", 240), ("1-00:00:00", 1440), ("1-12", 2160), ("90", 90), ("90:30", 91), ("00:00:30", 1), ("2-1:30", 2970)],
)
def test_time_limits_are_read_as_slurm_reads_them(limit: str, minutes: int) -> None:
    assert clusters.minutes(limit) == minutes


def test_jobs_ask_for_their_partition_and_its_time_limit() -> None:
    cluster = ClusterConfig(
        executor="slurm",
        partition="gpu",
        cpu_partition="cpu",
        timeouts={"gpu": "24:00:00"},
        default_timeout="02:00:00",
        gpus=8,
    )

    def asked(**job: Any) -> tuple[str, int]:
        found = slurm_jobs.parameters(cluster, Stage((JobSpec("generate", "module:function", **job),)), [])
        return found["partition"], found["time"]

    assert asked(gpus=8) == ("gpu", 24 * 60)
    assert asked() == ("cpu", 2 * 60)
    assert asked(gpus=8, time_limit="01:00:00") == ("gpu", 60)
    with pytest.raises(UsageError, match=r"asks for 9 GPUs a node, .* says a node has 8"):
        asked(gpus=9)


def test_variables_come_by_name_and_a_required_one_must_be_there() -> None:
    cluster = ClusterConfig(env_vars=["A", "B=x=y", "C"], required_env_vars=["D"], source="my.yaml")
    found = clusters.environment(cluster, here={"A": "1", "D": "4", "HF_TOKEN": "t", "OTHER": "o"})
    assert found == {"A": "1", "B": "x=y", "D": "4", "HF_TOKEN": "t"}
    with pytest.raises(UsageError, match=r"requires \$D, which is not set") as caught:
        clusters.environment(cluster, here={"A": "1"})
    assert caught.value.hint == "export D=…"


def test_settings_of_the_command_line_win(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", "partition: gpu\ncpu_partition: cpu\nqos: low\ntimeouts: {long: '2-00:00:00'}")
    cluster = clusters.load(str(path), partition="long", qos="high", time_min="01:00:00")
    assert (cluster.partition, cluster.cpu_partition, cluster.qos, cluster.time_min) == ("long", "long", "high", "01:00:00")
    assert cluster.time_limit("long") == "2-00:00:00"
    assert cluster.time_limit("other") == "04:00:00"


def test_variables_are_filled_into_paths_and_left_to_the_shell_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_DATA", "/data/me")
    text = "mounts: ['${MY_DATA}/a:/a', '$MY_DATA/b:/b', '{MY_DATA}/c:/c']\nsetup: ['echo ${SLURM_JOB_ID}']"
    cluster = clusters.load(str(write(tmp_path, "mine", text)))
    assert [mounts.at_source(cluster, f"/{name}/x") for name in "abc"] == [f"/data/me/{name}/x" for name in "abc"]
    assert cluster.setup == ["echo ${SLURM_JOB_ID}"]
