"""`--num_chunks` and `--chunk_ids`: several jobs answer one seed, and the run ends as if one had."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.slurm import Run


def test_parts_of_a_run_are_asked_apart_and_put_together(tmp_path: Path) -> None:
    run = Run(tmp_path, "local", seeds=2, jobs=2, us_per_token=5)
    refused = run.finish("--num_chunks=3", "--chunk_ids=3", "--dry_run")
    assert refused.returncode == 2, refused.stderr
    assert "3 is no chunk of 3, they are 0 to 2" in refused.stderr
    part = run.finish("--num_chunks=3", "--chunk_ids=1")
    assert part.returncode == 0, part.stderr
    asked = "".join(run.asked())
    assert [f"{benchmark}: what is {n} modulo 4?" in asked for benchmark in run.benchmarks for n in range(5)] == [
        *(False, False, True, True, False),
        *(False, True, False, False, False),
    ]
    assert len(list(run.out.glob("eval-results/*/output-rs*_chunk_1.jsonl-async"))) == 4
    whole = run.finish("--num_chunks=3")
    assert whole.returncode == 0, whole.stderr
    assert run.complete()
    assert set(run.asked().values()) == {1}
    assert not list(run.out.glob("eval-results/*/*_chunk_*"))
