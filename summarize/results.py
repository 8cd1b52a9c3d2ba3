"""`ns summarize_results`: the tables of one or more runs, and their metrics.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ns_eval.config import positional
from ns_eval.files import write_text
from ns_eval.scores import load
from summarize.discover import discover
from summarize.questions import samples
from summarize.render import classic
from summarize.tables import tables


@dataclass
class ResultsConfig:
    """Print pass@k, majority@k and their intervals from a run folder.

    Examples:
        ns summarize_results out
        ns summarize_results out/eval-results/aime24 --metric_type=math --cluster=local
    """

    results_dirs: list[str] = positional(many=True)  # noqa: RUF009
    """Run folders, or folders of one benchmark."""
    metric_type: str | None = None
    """Accepted for older scripts: which scores there are is read from the results."""
    cluster: str | None = None
    """Accepted for older scripts: results are read where they are, on this machine or a shared file system."""
    benchmarks: list[str] = field(default_factory=list)
    """Only these."""
    k: list[int] = field(default_factory=list)
    """The k of majority@k and pass@k. Default: all samples."""
    save_metrics_path: str | None = None
    """Where metrics.json goes. Default: into the results folder."""


def main(config: ResultsConfig) -> int:
    saved = []
    for results_dir in config.results_dirs:
        results = discover(Path(results_dir), config.benchmarks)
        metrics = {}
        for item in results.benchmarks:
            scores = load(item.folder)
            for table in tables(item.name, samples(scores), scores.meta, config.k):
                print(classic(table), end="")
                metrics[table.name] = {
                    row.label: {"num_entries": row.entries, "no_answer": row.no_answer}
                    | {name: cell.value for name, cell in row.cells.items()}
                    for row in table.rows
                }
        path = Path(config.save_metrics_path) if config.save_metrics_path else results.metrics
        write_text(path, msgspec.json.format(msgspec.json.encode(metrics), indent=2).decode() + "\n")
        saved.append(path)
    for path in saved:
        print(f"Metrics are saved to {path}")
    return 0
