"""The schema of every command and of every YAML under conf/: one owner per key, a one-line doc under each field.

The dataclass *is* the command line: `ns eval --help` prints it, `compose` checks against it. A command's schema lives here,
or beside the command in a plug-in folder; `ns_eval/schema.py` has the three conventions that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ns_eval.schema import REQUIRED


@dataclass
class InferenceConfig:
    """How answers are sampled. An unset value falls to the preset, the model, the benchmark, then the default."""

    temperature: float | None = None
    """0 is greedy. Default: 0.7 with a seed, 0 for the greedy answer."""
    top_p: float | None = None
    """Nucleus sampling. Default: 0.95."""
    top_k: int | None = None
    """Keep the k likeliest tokens; -1 is off, the default."""
    min_p: float | None = None
    """Drop tokens less likely than this share of the likeliest. Default: 0, off."""
    repetition_penalty: float | None = None
    """1 is off, the default."""
    tokens_to_generate: int | None = None
    """The most tokens of an answer. Default: the room that is left in the context."""
    stop: list[str] | None = None
    """Strings that end an answer."""
    top_logprobs: int | None = None
    """How many log-probabilities to keep for each token."""
    endpoint_type: str | None = None
    """chat (messages, the server's template) or text (rendered here, completions route). Default: chat."""
    timeout_s: float | None = None
    """Seconds one request may take. Default: 14400."""
    extra_body: dict[str, Any] = field(default_factory=dict)
    """Further fields of the request, sent as they are."""


@dataclass
class CodeExecutionConfig:
    """How a model's answer and its code take turns. NeMo-Skills' names, under `server.code_execution`."""

    max_code_executions: int = 8
    """Pieces of code that one answer may have run."""
    code_execution_timeout: float = 10.0
    """Seconds one piece may take."""
    max_code_output_characters: int = 1000
    """What the model sees of its output, each of stdout and stderr."""
    add_remaining_code_executions: bool = False
    """Tell the model after each piece how many are left."""
    sentences: str = ""
    """Who words that: ns_eval, nemo_skills, or a YAML of `remaining` and `exhausted`. Default: a checkout, else ns_eval."""
    remaining_sentence: str = (
        "You can run code {remaining} more time(s). Plan what to compute; you can also finish by reasoning alone."
    )
    """What it is then told. A model that was trained on other words needs those; given, it wins over `sentences`."""
    exhausted_sentence: str = "You cannot run code any more. Finish the solution by reasoning alone."
    """What it is told when none is left."""


@dataclass
class ServerConfig:
    """A model server: how it is started, awaited and spoken to. conf/server/<server_type>.yaml"""

    name: str = ""
    """The type's name."""
    about: str = ""
    """One line: what it runs, and on what."""
    argv: list[str] = field(default_factory=list)
    """The command that starts it, with {model} {name} {python} {package} filled in; empty: it is remote."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment variables of the server process."""
    args: dict[str, Any] = field(default_factory=dict)
    """Options of its command line: true is a bare flag, false or an unset {placeholder} leaves the option out."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other spellings of its options, so that none is given twice."""
    server_args: str = ""
    """Further options as one text, appended; a later one wins."""
    base_url: str = ""
    """Where a remote server answers, with /v1."""
    host: str = "127.0.0.1"
    """The interface a started server listens on."""
    port: int | None = None
    """Its port. Default: a free one."""
    api_key_env: str = ""
    """The environment variable that holds the key. Keys are never given by value."""
    api_keys: dict[str, str] = field(default_factory=dict)
    """Host -> the variable that holds its key where `api_key_env` names none; sent to no other host."""
    key_headers: list[str] = field(default_factory=lambda: ["Authorization"])
    """The headers that carry the key; Authorization carries it as a bearer token."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of every request. Never a key: this is written into the run folder."""
    ready_timeout_s: float = 1800.0
    """Seconds from the start to the first good answer."""
    health: str = ""
    """A route that answers while it lives. Empty: only its process is watched."""
    health_timeout_s: float = 300.0
    """Seconds without an answer there after which it is taken for hung and started again."""
    restarts: int = 5
    """How often within an hour it is started again when it ends by itself, before it is given up."""
    restart_pause_s: float = 1.0
    """Seconds before the first of these; doubled each time."""
    entrypoint: str = ""
    """The command line of a server of type generic."""
    served_name: str = "{name}"
    """The name under which it lists the model; {name} is ours, {folder} the last part of its path."""
    gpus: int | None = None
    """GPUs of the server on each node."""
    nodes: int = 1
    """Nodes of the server."""
    leader_args: dict[str, Any] = field(default_factory=dict)
    """Options added on the first of several nodes, with {nodes} {leader} {leader_port} filled in."""
    follower_args: dict[str, Any] = field(default_factory=dict)
    """Options added on the other nodes, with {rank} filled in as well."""
    launcher: list[str] = field(default_factory=list)
    """A command in front of argv on several nodes, for engines that MPI starts; then there are no followers."""
    max_num_seqs: int | None = None
    """Requests the engine decodes together, where known."""
    context: int | None = None
    """Tokens of prompt and answer together in one request."""
    threads: int | None = None
    """CPU threads of the engine."""
    gpu_layers: int | None = None
    """Layers of a GGUF model that go to the GPU."""
    renames: dict[str, str] = field(default_factory=dict)
    """Request fields under this server's own names."""
    neutral: dict[str, Any] = field(default_factory=dict)
    """What is sent where a sampling value is off, so that no default of the server or the checkpoint slips in."""
    ignores: dict[str, str] = field(default_factory=dict)
    """Request fields that it ignores silently -> the option of its command line that makes it honour them, or empty."""
    takes: list[str] = field(default_factory=list)
    """Request fields it honours; others in inference.extra_body are refused. Empty: not known, all are sent."""
    prompt_logprobs: bool = False
    """Its text route gives the log-probabilities of a prompt (echo)."""
    quantizations: list[str] = field(default_factory=list)
    """Quantized checkpoints that it loads, as their config.json calls them. Empty: not known, all are tried."""
    refuses: list[str] = field(default_factory=list)
    """Request fields that the model answers with an error, as a temperature by reasoning models: left out, and said."""
    context_limit_retry_strategy: str = ""
    """Where prompt and answer do not fit: reduce_generation, reduce_prompt_from_start or _end. Default: an error there."""
    text_limit: bool = False
    """Its text route stops at 16 tokens unless it is given max_tokens."""
    adapters: dict[str, str] = field(default_factory=dict)
    """LoRA adapters to load: name -> folder."""
    adapter_args: dict[str, Any] = field(default_factory=dict)
    """Options that load adapters, with {adapters} {adapter_count} {adapter_slots} {adapter_rank} filled in. Empty: none."""
    adapter_model: str = "{name}"
    """The model name that asks for an adapter; {base} is the model's own."""
    adapter_request: dict[str, dict[str, str]] = field(default_factory=dict)
    """Further request fields that ask for an adapter, with {name} {number} {path} filled in."""
    code_execution: CodeExecutionConfig = field(default_factory=CodeExecutionConfig)
    """How a model's answer and its code take turns, where code_execution is true."""


@dataclass
class BenchmarkConfig:
    """One benchmark. conf/benchmark/<name>.yaml"""

    name: str = ""
    """The canonical name: NeMo-Skills' where it has one. Equals the file's name."""
    about: str = ""
    """One line: what it asks, how many questions, who made it."""
    aliases: list[str] = field(default_factory=list)
    """Other spellings that `--benchmarks` and `prepare_data` take."""
    tags: list[str] = field(default_factory=list)
    """math, code, multichoice, …: for `ns show benchmarks`."""
    status: str = "ready"
    """ready, needs_source, gated, incompatible or unavailable; `reason` says why."""
    reason: str = ""
    """Why it is not ready, and from where a person gets it."""
    split: str = "test"
    """The split that is evaluated unless `--split` names another."""
    seeds: int = 1
    """Samples a question when `--benchmarks` gives no `:N`; 0 is the greedy answer alone."""
    needs: list[str] = field(default_factory=list)
    """Columns without which its judge cannot work: expected_answer, choices, tests …"""
    prompt: str = "generic/default"
    """conf/prompt/<name>.yaml"""
    judge: str = "symbolic"
    """conf/judge/<name>.yaml"""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """Values of that judge's switches that differ here."""
    metric_type: str = "math"
    """Which table summarize_results prints."""
    metric: str = ""
    """conf/metric/<name>.yaml: its primary metric, which stands for it in a category's score. Default: the share that
    its judge calls right."""
    likelihood: str = ""
    """What ++scoring=likelihood compares: text (of each option), ending, or letter; empty: it cannot be scored so."""
    likelihood_score: str = ""
    """The score column that then stands for it. Default: the share of questions whose likeliest option is right."""
    chance: float | None = None
    """The primary metric of guessing, where there is one."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """Sampling that its authors prescribe."""
    prepare: dict[str, Any] = field(default_factory=dict)
    """How `ns prepare_data` makes its files: checked by dataset_prepare."""


@dataclass
class PriceConfig:
    """What a million tokens cost, in US dollars."""

    input: float | None = None
    """Of prompts."""
    output: float | None = None
    """Of answers, thinking included."""


@dataclass
class EvidenceConfig:
    """How far a declaration was checked."""

    level: str = "unverified"
    """read (from the thing itself), listed (from its page, or another project's list) or unverified (from memory)."""
    date: str = ""
    """When, as YYYY-MM-DD."""
    by: str = ""
    """What was read."""


@dataclass
class ModelConfig:
    """A model by name. conf/model/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line: family, size, what it is for."""
    path: str = ""
    """A folder, a GGUF file or a hub id; `shipped:` before a path inside ns_eval/shipped."""
    status: str = "ready"
    """ready, incompatible (no engine here generates text with it) or unavailable; `reason` says why."""
    reason: str = ""
    """Why it cannot be run, and what can be instead."""
    gated: bool = False
    """Its hub asks for terms to be accepted, and for a token."""
    server_type: str = ""
    """The server that runs it unless `--server_type` names another."""
    prompt_template: str = ""
    """The template of a model whose tokenizer has none, unless `--prompt_template` names another."""
    family: str = ""
    """Whose it is, as a facet: qwen3, llama3 …"""
    parameters: float | None = None
    """Billions of parameters in all."""
    active_parameters: float | None = None
    """Billions that one token passes through, where they are fewer: a mixture of experts."""
    architecture: str = "decoder"
    """decoder, vision (a decoder that reads pictures too), encoder or encoder-decoder."""
    context: int | None = None
    """Tokens of prompt and answer together, as its configuration says."""
    quantization: str = ""
    """awq, gptq, fp8 …; empty where the weights are as they were trained."""
    preset: str = ""
    """conf/preset: how it is served and sampled unless `++preset` names another."""
    priority: str = ""
    """high, medium or low: the order of display."""
    specialization_weight: float | None = None
    """How much of a specialist it is held to be: for display, in no score."""
    groups: list[str] = field(default_factory=list)
    """Further groups, as `facet:value`; those of family, size, arch, quant and runtime follow from the other keys."""
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    """How far what stands here was checked."""
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    """Sampling that its authors recommend."""
    max_concurrent_requests: int | None = None
    """The most requests in flight that its provider allows."""
    price: PriceConfig = field(default_factory=PriceConfig)
    """What a million tokens cost, where somebody sells them."""
    server: dict[str, Any] = field(default_factory=dict)
    """Keys of ServerConfig that differ for it."""


@dataclass
class PromptConfig:
    """A prompt. conf/prompt/<folder>/<name>.yaml, in the parent's schema: literal braces are doubled."""

    user: str = REQUIRED
    """The user message, a Python format text over the question's columns and {examples}."""
    system: str | None = None
    """The system message; None sends none."""
    few_shot_examples: dict[str, Any] = field(default_factory=dict)
    """prefix, template, suffix, examples_type."""
    code_tags: str | None = None
    """The name of a template whose code tags fill {code_begin} and its like."""


@dataclass
class TemplateConfig:
    """A model family's chat markup and code tags. conf/template/<name>.yaml, in the parent's schema."""

    text_begin: str = ""
    """Before everything."""
    system_begin: str = ""
    """Before the system message; it stands even where the message is empty."""
    system_end: str = ""
    """After the system message."""
    user_begin: str = ""
    """Before the user message."""
    user_end: str = ""
    """After the user message."""
    assistant_begin: str = ""
    """Before the answer."""
    assistant_end: str = ""
    """After the answer."""
    stop_phrases: list[str] = field(default_factory=list)
    """What ends an answer."""
    code_begin: str = ""
    """Before code that the model wants executed."""
    code_end: str = ""
    """After that code: generation stops here."""
    code_output_begin: str = ""
    """Before the code's output."""
    code_output_end: str = ""
    """After the code's output."""
    code_output_format: str = "qwen"
    """How the output is worded: qwen or llama."""
