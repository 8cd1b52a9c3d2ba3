"""The schema of conf/category, conf/preset and conf/metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ns_eval.config import InferenceConfig

ARCHITECTURES = ("decoder", "vision", "encoder", "encoder-decoder")
STATISTICS = ("mean", "micro_f1", "gap", "rubric", "table", "none")


@dataclass
class DatasetsConfig:
    """The benchmarks of a category, by any of their names."""

    primary: list[str] = field(default_factory=list)
    """What the category is known by."""
    secondary: list[str] = field(default_factory=list)
    """What is asked beside it."""


@dataclass
class EvaluationConfig:
    """How a category is evaluated where the command line says nothing."""

    default_sample_limit: int | None = None
    """Questions of each benchmark, drawn as `--samples` draws them. Default: all."""
    timeout_per_sample: float | None = None
    """Seconds that running or grading one sample may take, beside the time of asking for it."""
    metrics: list[str] = field(default_factory=list)
    """conf/metric: what is of interest; each benchmark has its own primary one."""


@dataclass
class CategoryConfig:
    """A kind of model and the benchmarks that suit it. conf/category/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line: what these models are for."""
    models: list[str] = field(default_factory=list)
    """Names of conf/model; a model may stand in several categories."""
    datasets: DatasetsConfig = field(default_factory=DatasetsConfig)
    """Its benchmarks."""
    evaluation_config: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How it is evaluated."""


@dataclass
class PresetConfig:
    """How a model is served and sampled, by a name. conf/preset/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line: what it is good for."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """Sampling."""
    server: dict[str, Any] = field(default_factory=dict)
    """Keys of ServerConfig, for every server type."""
    server_types: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Server type -> keys of ServerConfig for it alone."""


@dataclass
class MetricConfig:
    """A metric by name: what it is, and how it is computed. conf/metric/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """Its definition."""
    aliases: list[str] = field(default_factory=list)
    """Other names of it."""
    direction: str = "higher"
    """higher or lower is better."""
    low: float = 0.0
    """The smallest value it can have."""
    high: float | None = 1.0
    """The largest value; none where there is no bound."""
    statistic: str = "mean"
    """mean of a column, micro_f1 of counts, gap, rubric, table (beside the scores) or none."""
    column: str = ""
    """The score column it reads; empty: the verdict of the benchmark's judge."""
    subset: str = ""
    """The subset of a benchmark that it is taken over."""
    status: str = "ready"
    """ready, judged (a model judge must have been asked) or refused; `reason` says why."""
    reason: str = ""
    """Why it is refused, or the command that asks the judge."""
