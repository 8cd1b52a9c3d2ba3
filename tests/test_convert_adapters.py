"""An adapter is checked against its base and the server before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ns_eval.checkpoints import adapters, checkpoint
from ns_eval.errors import DataError, UsageError
from tests.models import TINYMATH, adapter, made_up
from tests.paths import SHARED, needs_shared

HARD = SHARED / "models/tinymath_lora_hard"


def test_a_name_may_stand_before_the_path(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "lora")
    assert adapters.parse(f"mine:{folder}") == ("mine", folder)
    assert adapters.parse(str(folder)) == ("lora", folder)


def test_a_path_with_a_colon_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter(tmp_path / "run:3")
    monkeypatch.chdir(tmp_path)
    assert adapters.parse("run:3") == ("run:3", Path("run:3"))


@needs_shared
def test_an_adapter_fits_its_base() -> None:
    found = adapters.inspect(f"hard:{HARD}")
    assert (found.name, found.rank, found.base) == ("hard", 16, "tinymath")
    adapters.check_base(found, checkpoint.inspect(TINYMATH))


@needs_shared
def test_an_adapter_of_another_base_is_refused_with_the_module(tmp_path: Path) -> None:
    other = checkpoint.inspect(made_up(tmp_path / "other"))
    with pytest.raises(
        DataError, match=r"adapter hard does not fit .*there is no module `model.layers.0.mlp.down_proj`.*tinymath"
    ):
        adapters.check_base(adapters.inspect(f"hard:{HARD}"), other)


def test_an_adapter_of_another_shape_is_refused_with_both_shapes(tmp_path: Path) -> None:
    base = checkpoint.inspect(made_up(tmp_path / "base"))
    adapters.check_base(adapters.inspect(str(adapter(tmp_path / "good"))), base)
    wide = adapters.inspect(str(adapter(tmp_path / "wide", inputs=96)))
    with pytest.raises(DataError, match=r"`model.layers.0.mlp.up_proj` is 128 x 64 there and 128 x 96 here"):
        adapters.check_base(wide, base)
    flat = adapters.inspect(str(adapter(tmp_path / "flat", outputs=96)))
    with pytest.raises(DataError, match=r"is 128 x 64 there and 96 x 64 here"):
        adapters.check_base(flat, base)


# (rank, what the server must make room for)
RANKS = [(1, 1), (4, 8), (8, 8), (16, 16), (17, 32), (200, 256), (512, 512)]


@pytest.mark.parametrize(("rank", "room"), RANKS)
def test_a_server_makes_room_for_the_rank(rank: int, room: int, tmp_path: Path) -> None:
    assert adapters.serving_rank([adapters.inspect(str(adapter(tmp_path / "lora", rank=rank)))]) == room


def test_the_largest_of_several_ranks_counts(tmp_path: Path) -> None:
    small = adapters.inspect(str(adapter(tmp_path / "small", rank=8)))
    mixed = adapters.inspect(str(adapter(tmp_path / "mixed", rank=8, rank_pattern={"down_proj": 40})))
    assert adapters.serving_rank([small, mixed]) == 64
    assert adapters.serving_rank([]) == 1


def test_a_rank_above_the_limit_is_refused(tmp_path: Path) -> None:
    found = adapters.inspect(str(adapter(tmp_path / "lora", rank=64)))
    with pytest.raises(UsageError) as error:
        adapters.serving_rank([found], limit=16)
    assert "has rank 64, and the server makes room for 16" in str(error.value)
    assert "--max-lora-rank 64" in str(error.value)
    with pytest.raises(UsageError, match="rank 1024 is more than servers take"):
        adapters.serving_rank([adapters.inspect(str(adapter(tmp_path / "huge", rank=1024)))])


# (keys of adapter_config.json, why servers do not take it)
UNSERVED: list[tuple[dict[str, Any], str]] = [
    ({"use_dora": True}, "it is a DoRA adapter"),
    ({"modules_to_save": ["lm_head"]}, r"it replaces whole modules \(lm_head\)"),
    ({"bias": "all"}, "it changes biases"),
]


@pytest.mark.parametrize(("config", "why"), UNSERVED)
def test_what_servers_do_not_take_is_to_be_merged(config: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why) as error:
        adapters.serving_rank([adapters.inspect(str(adapter(tmp_path / "lora", **config)))])
    assert "ns convert --convert_to=hf --adapter=" in str(error.value)


def test_a_folder_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        adapters.inspect(f"x:{tmp_path}/nowhere")
    with pytest.raises(DataError, match=r"adapter_config.json is missing"):
        adapters.inspect(str(TINYMATH))
    with pytest.raises(UsageError, match="its method is IA3, and only LoRA is supported"):
        adapters.inspect(str(adapter(tmp_path / "ia3", peft_type="IA3")))


def test_an_adapter_that_is_cut_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "lora")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"adapter_model.safetensors is cut off"):
        adapters.inspect(str(folder))
    weights.unlink()
    with pytest.raises(DataError, match=r"adapter_model.safetensors is missing"):
        adapters.inspect(str(folder))
