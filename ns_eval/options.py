"""The options of the commands that run models. Those of the other commands stand beside their functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ns_eval.arguments import Spellings
from ns_eval.config import InferenceConfig, PriceConfig, ServerConfig
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.schema import REQUIRED, repeated


@dataclass
class WhereConfig:
    """Where one job runs. Inherited, so that each flag is declared once."""

    cluster: str | None = None
    """A name in cluster_configs/ or a path to a YAML. Default: NEMO_SKILLS_CONFIG, else local."""
    config_dir: str | None = None
    """A folder of cluster configs that is searched first."""
    partition: str | None = None
    """Overrides the cluster's partition."""
    qos: str | None = None
    """Overrides the cluster's quality of service."""
    time_min: str | None = None
    """The shortest time limit that is acceptable, HH:MM:SS."""
    detach: bool = False
    """Start and return at once; `ns status OUT` follows the run."""


@dataclass
class PlaceConfig(WhereConfig):
    """Where the jobs of a run are, and how many. Inherited by every command that starts some."""

    num_jobs: int | None = None
    """Jobs the work is dealt over; -1: one a benchmark (and chunk). Default: 1 locally, -1 on a cluster."""
    dependent_jobs: int = 0
    """Jobs chained after each, that go on where a time limit ended it. Rarely needed: a job requeues itself."""
    dry_run: bool = False
    """Print the plan and the first rendered prompt of each benchmark, start nothing."""


@dataclass
class AskConfig(PlaceConfig):
    """What asks a model anything: which one, on which server, in what words."""

    model: str = REQUIRED
    """A path, a name in conf/model, or the name under which a remote server serves it."""
    output_dir: str = REQUIRED
    """The run folder. The same command again goes on where it stopped."""
    server_type: str | None = None
    """llamacpp, vllm, sglang, trtllm, openai, …: conf/server. Default: the model's, or llamacpp for a GGUF file."""
    preset: str | None = None
    """How it is served and sampled: conf/preset. Default: the model's, if it has one."""
    server_container: str | None = None
    """The container image of the server: a name in the cluster's `containers`, or the image. Default: the server type's."""
    adapter: list[str] = repeated()  # noqa: RUF009
    """LoRA adapters, name:folder; base and adapters are asked alike, each into a run folder of its own."""
    adapter_only: bool = False
    """Ask the adapters without their base."""
    starting_seed: int = 0
    """Seeds count from here."""
    max_samples: int = -1
    """Only the first N questions of each file; -1: all."""
    num_chunks: int | None = None
    """Deal the questions of each benchmark over N parts, so that several jobs can answer one seed."""
    chunk_ids: str | None = None
    """Only these of the parts: 0,3 or 0..5."""
    prompt_config: str | None = None
    """A prompt of conf/prompt or a path to a YAML. Default: the benchmark's."""
    prompt_template: str | None = None
    """A template of conf/template; prompts are then rendered here and sent as text."""
    tokenizer: str | None = None
    """A folder whose chat template renders the prompts of ++inference.endpoint_type=text. Default: the model's."""
    system_message: str | None = None
    """Replaces the prompt's system message."""
    examples_type: str | None = None
    """The few-shot examples of the prompt."""
    code_tags: str | None = None
    """A template whose marks around code hold for chat messages. Default: prompt_template's, or the prompt's own."""
    nemo_skills_path: str | None = None
    """A checkout of NeMo-Skills, where `nemo_skills:NAME` finds prompts, templates, examples. Default: NEMO_SKILLS_PATH."""
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    """Values for the server's chat template, such as enable_thinking."""
    code_execution: bool = False
    """Run the Python that the model writes between its thoughts, in a sandbox; server.code_execution.* bounds it."""
    tools: str | None = None
    """python: offer the model Python as a tool, called as its chat endpoint does it; instead of code_execution."""
    total_code_executions_in_prompt: int | None = None
    """The number of executions that the prompt promises, which is then the cap. Default: max_code_executions."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    """Where model-written code runs."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """How answers are sampled."""
    server: ServerConfig = field(default_factory=ServerConfig)
    """The model server."""
    max_concurrent_requests: int = 512
    """The most requests in flight, in one job."""
    price: PriceConfig = field(default_factory=PriceConfig)
    """What a million tokens cost. Default: the model's in conf/model."""
    budget_usd: float | None = None
    """Stop before the answers in this folder have cost more; the same command with a larger one goes on."""
    shared_budget: str | None = None
    """The budget.json of a recipe, which deals one budget over several commands; instead of budget_usd."""
    rerun_done: bool = False
    """Ask everything anew; what is there is moved to a folder beside it."""
    force: bool = False
    """Go on although the settings that shape the answers differ from those of the run folder."""


@dataclass
class EvalConfig(AskConfig):
    """Sample answers to benchmarks from a model, grade them, print the table.

    Examples:
        ns eval --model=tinymath --benchmarks=arithmetic:8 --output_dir=out
        ns eval --model=/models/qwen3-8b --server_type=vllm --server_gpus=1 --benchmarks=aime24:64 --output_dir=out
        ns eval --model=m --server_type=openai --server_address=http://127.0.0.1:8000/v1 --benchmarks=gsm8k --output_dir=out
        ns eval … --benchmarks=hle:64 --judge=math ++judge.model=gpt-4o ++judge.server_type=openai \\
            ++judge.server_address=https://api.openai.com/v1
        ns eval --model=biomistral_7b --category=biomedical_specialists --samples=50 --output_dir=out --plan
        ns eval … --dry_run              # the plan and the first prompt, nothing is started
    """

    benchmarks: list[str] = field(default_factory=list)
    """name:N asks N seeds, name:0 the greedy answer alone, name what its YAML says; comma-separated."""
    category: list[str] = field(default_factory=list)
    """The benchmarks of these categories that are ready here. Default without --benchmarks: the model's own categories."""
    all_categories: bool = False
    """The benchmarks of every category."""
    samples: int | None = None
    """Ask N questions of each benchmark, drawn at random and the same for every model. Default: all, or the category's."""
    plan: bool = False
    """Print what would be asked, what is skipped and why, and what it may cost; start nothing."""
    pilot: list[str] = field(default_factory=list)
    """Run folders whose lengths and speeds the plan is estimated from. Default: the output_dir itself."""
    split: str | None = None
    """The split to evaluate. Default: the benchmark's own."""
    add_greedy: bool = False
    """Ask the greedy answer (output.jsonl) beside the seeds."""
    end_reasoning_string: str | None = None
    """Where thinking ends in the text, for servers that do not split it off. Default: the judge's, </think>."""
    scoring: str = "generate"
    """generate, or likelihood: multiple choice by the log-probabilities of the options, where the server gives them."""
    reference_logprobs: bool = False
    """Of free texts, ask too how likely each reference is, where the server tells: for `ns compare --perplexity`."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """Switches of the benchmarks' judge, such as compat=nemo-skills; docs/checker.md lists them."""
    judge: dict[str, Any] = field(default_factory=dict)
    """--judge=math lets a model judge behind the generation; ++judge.model, … are its `ns generate`; docs/judges.md."""
    grading_workers: int | None = None
    """Processes that grade. Default: the CPUs, at most 8."""
    data_dir: str | None = None
    """Where prepared benchmarks lie. Default: NS_DATA_DIR, NEMO_SKILLS_DATA_DIR, else ~/.cache/ns-eval/data."""
    min_coverage: float = 0.98
    """Exit with 6 where a smaller share of the samples has been graded."""
    groups: list[str] = field(default_factory=list)
    """facet:value, such as size:large: what rankings filter by, beside the groups of the model's YAML."""


@dataclass
class GenerateConfig(AskConfig):
    """Ask a model about every row of a JSONL file, or let it judge the outputs of a run.

    Examples:
        ns generate --model=tinymath --input_file=rows.jsonl --output_dir=out --prompt_config=generic/math
        ns generate --generation_type=math_judge --model=/models/qwen2.5-32b-instruct --server_type=vllm --server_gpus=4 \\
            --output_dir=out/eval-results-judged/hle ++input_dir=out/eval-results/hle
    """

    input_file: str | None = None
    """Rows of JSON; the prompt may use every column."""
    input_dir: str | None = None
    """The outputs of a benchmark: every output*.jsonl in it is judged, or those of the seeds that are named."""
    baseline_dir: str | None = None
    """The outputs of another run, for pairwise_judge."""
    generation_type: str = "generate"
    """generate, math_judge, rubric_judge, mt_bench_judge, pairwise_judge or genselect."""
    generation_module: str | None = None
    """A judge of your own, as path/to/file.py::Class; docs/judges.md says what it has to have."""
    preprocess_cmd: list[str] = field(default_factory=list)
    """A command and its arguments, python,make_rows.py, run here before anything is planned: it may make the input."""
    postprocess_cmd: list[str] = field(default_factory=list)
    """A command and its arguments, run as a last job when all is done; {output_dir} in a word is filled in."""
    num_random_seeds: int | None = None
    """Seeds to ask, counted from starting_seed. Default: the greedy answer alone."""
    random_seeds: str | None = None
    """Seeds by number: 0,3 or 0..7."""
    judge: dict[str, Any] = field(default_factory=dict)
    """Switches of the judge; docs/judges.md lists them."""


ASK_SPELLINGS = Spellings(
    aliases={
        "server_address": "server.base_url",
        "server_gpus": "server.gpus",
        "server_nodes": "server.nodes",
        "server_args": "server.server_args",
        "server_entrypoint": "server.entrypoint",
        "num_concurrent_requests": "max_concurrent_requests",
        "inference.random_seed": "starting_seed",
    },
    ignored={
        "skip_greedy": "the greedy answer is asked only on request",
        "parse_reasoning": "an answer is read behind the end of the thinking anyway",
        "remove_thinking": "an answer is read behind the end of the thinking anyway",
        "skip_filled": "answers that are on disk are never asked again",
        "use_async_loop": "there is one loop, and it is",
        "reuse_code": "jobs run the installed code",
        "with_sandbox": "a sandbox starts by itself where code is run",
        "skip_hf_home_check": "nothing needs HF_HOME",
        "server.enable_soft_fail": "a request that fails is recorded as failed, and the run goes on",
        "server.num_special_tokens_budget": "a cut prompt leaves 100 tokens for the chat template",
        "auto_summarize_results": "the table is always made",
    },
    refused={
        "batch_size": "requests are not sent in batches; --max_concurrent_requests bounds them",
        "reuse_code_exp": "jobs run the installed code",
        "run_after": "chain with the shell: `ns eval … && ns eval …`, or use the cluster's own dependencies",
        "extra_eval_args": "the grader's switches are ++judge_options.NAME=VALUE",
        "wandb_name": "metrics.json holds every number; log it from there",
        "installation_command": "put it under `setup:` of the cluster config",
        "inference.seed": "write --starting_seed=N",
    },
)
_BEHIND_THE_BENCHMARK = "write the number of seeds behind the benchmark, --benchmarks=aime24:64"
EVAL_SPELLINGS = Spellings(
    aliases={
        **ASK_SPELLINGS.aliases,
        "judge": "judge.type",
        "judge_generation_type": "judge.type",
        "judge_model": "judge.model",
        "judge_server_type": "judge.server_type",
        "judge_server_address": "judge.server_address",
        "judge_server_gpus": "judge.server_gpus",
        "judge_server_nodes": "judge.server_nodes",
        "judge_server_args": "judge.server_args",
        "judge_server_entrypoint": "judge.server_entrypoint",
    },
    ignored=ASK_SPELLINGS.ignored,
    refused={
        **ASK_SPELLINGS.refused,
        "num_random_seeds": _BEHIND_THE_BENCHMARK,
        "random_seeds": f"{_BEHIND_THE_BENCHMARK} --starting_seed=0",
    },
    instead={
        "list_categories": ("show", "categories"),
        "list_models": ("show", "models"),
        "list_datasets": ("show", "benchmarks"),
        "list_models_in_category": ("show", "models", "--category={value}"),
        "list_datasets_in_category": ("show", "benchmarks", "--category={value}"),
    },
)
