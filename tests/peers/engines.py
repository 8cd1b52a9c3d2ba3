"""Stand-ins for vLLM 0.32, SGLang 0.5.23 and trtllm-serve 1.2: their options as recorded, their answers, their refusals.

    python -m tests.peers.engines vllm serve MODEL --port 8000 --served-model-name m

An option that the real parser does not have ends it with 2. What goes wrong is told by the environment variable STANDIN,
a JSON object: `ready_s` seconds until it listens, `fail` a log line on which it ends at start, `die_after` so many
answers, `die_after_s` seconds of its first life, `exit` the code of each, `orphan` a file for the pid of a child that it
leaves behind, `hang_after` so many answers, `names` the model ids it lists, `template` false for a checkpoint without one,
`starts` a file that gets a line at each start (`die_after_s` needs it).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.peers.replying import Replying

OPTIONS = Path(__file__).parent / "options"
CONTEXT, PROMPT = 2048, 5
# trtllm-serve's request model forbids every other field (serve/openai_protocol.py, commit 0076e939).
TRTLLM_FIELDS = frozenset((OPTIONS / "trtllm_fields.txt").read_text().split())


def recorded(name: str) -> argparse.ArgumentParser:
    """The parser of an engine, from the list of its options: spellings, kind, number of words, choices."""
    parser = argparse.ArgumentParser(prog=name, usage="…", add_help=False, allow_abbrev=False)
    for line in (OPTIONS / f"{name}_opts.txt").read_text().splitlines():
        spellings, *fields = line.split("\t")
        facts = dict(field.split("=", 1) for field in fields)
        words = facts["nargs"].strip("'")
        settings: dict[str, Any] = {"default": None}
        if words == "0":
            settings["action"] = "store_true"
        elif words != "None":
            settings["nargs"] = words
        if facts["type"] == "int" and words != "0":
            settings["type"] = int
        if facts["choices"] != "None" and words == "None":
            settings["choices"] = [str(item) for item in eval(facts["choices"], {"__builtins__": {}})]
            settings.pop("type", None)
        parser.add_argument(*spellings.split(), **settings)
    return parser


class Engine:
    """One stand-in: what it was told, what it lists, how it dies."""

    def __init__(self, kind: str, words: list[str]) -> None:
        self.kind = kind
        self.plan: dict[str, Any] = json.loads(os.environ.get("STANDIN", "{}"))
        if kind == "vllm":
            options = recorded("vllm").parse_args([_dashed(word) for word in words])
            self.path = options.model_tag or options.model
            self.names = options.served_model_name or [self.path]
            self.adapters = _named(options.lora_modules) if options.enable_lora else {}
        elif kind == "sglang":
            options = recorded("sglang").parse_args(words)
            self.path = options.model_path
            self.names = [options.served_model_name or self.path]
            self.adapters = _named(options.lora_paths) if options.enable_lora else {}
        else:
            options = recorded("trtllm").parse_args(words)
            self.path, self.names = options.model, [Path(options.model).name]
            told = json.loads(Path(options.extra_llm_api_options).read_text()) if options.extra_llm_api_options else {}
            self.adapters = {folder: folder for folder in told.get("lora_config", {}).get("lora_dir", [])}
        self.names = self.plan.get("names", self.names)
        self.port = options.port
        self.follows = bool(getattr(options, "node_rank", None))
        self.nodes = getattr(options, "nnodes", None) or 1
        self.answers = 0
        self.lock = threading.Lock()

    def start(self) -> None:
        if "starts" in self.plan:
            with Path(self.plan["starts"]).open("a") as file:
                file.write(json.dumps(sys.argv[1:]) + "\n")
        print(f"INFO {self.kind} loading {self.path}", flush=True)
        if self.plan.get("orphan"):
            # As vLLM's EngineCore outlives its API server.
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(self.plan["orphan"]).write_text(str(child.pid))
        time.sleep(self.plan.get("ready_s", 0) if not self.follows else 600)  # a follower listens on no port
        while "starts" in self.plan and not self.follows and self.started() < self.nodes:
            time.sleep(0.01)  # a leader meets its followers before it serves
        if "fail" in self.plan:
            self.die(self.plan["fail"])
        if "die_after_s" in self.plan and self.started() == 1:
            threading.Timer(self.plan["die_after_s"], self.die, ["RuntimeError: EngineCore died by itself."]).start()
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        server.daemon_threads = True
        server.serve_forever()

    def started(self) -> int:
        return len(Path(self.plan["starts"]).read_text().splitlines())

    def die(self, last_words: str) -> None:
        print(last_words, "INFO shutting down", sep="\n", flush=True)
        os._exit(self.plan.get("exit", 1))

    def counted(self) -> None:
        with self.lock:
            self.answers += 1
            if self.answers > self.plan.get("die_after", 1 << 60):
                self.die("RuntimeError: EngineCore encountered an issue.")

    @property
    def hangs(self) -> bool:
        return self.answers >= int(self.plan.get("hang_after", 1 << 60))

    def reply(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        refusal = self.refusal(path, body)
        if refusal:
            status, message = refusal
            error = {"message": message, "type": "BadRequestError", "code": status}
            return status, {"error": error} if self.kind == "vllm" else {"object": "error", **error}
        # SGLang: only `base:adapter` reaches the adapter; the bare name is answered by the base.
        asked = str(body.get("model", ""))
        lora = body.get("lora_request") or {}
        wanted = asked.partition(":")[2] if self.kind == "sglang" else str(lora.get("lora_path", asked))
        text = f"adapter {lora.get('lora_name', wanted)}" if wanted in self.adapters else "base"
        choice = {"index": 0, "finish_reason": "stop"}
        chat = path.endswith("/chat/completions")
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        usage = {"prompt_tokens": PROMPT, "completion_tokens": 2, "total_tokens": PROMPT + 2}
        named = asked if self.kind == "sglang" else self.names[0]
        return 200, {"object": "chat.completion", "model": named, "choices": [choice], "usage": usage}

    def refusal(self, path: str, body: dict[str, Any]) -> tuple[int, str] | None:
        """(status, message) as that server words it."""
        known = [*self.names, *self.adapters]
        if self.kind == "vllm" and body.get("model") not in known:
            return 404, f"The model `{body.get('model')}` does not exist. Valid aliases: {known[0]}."
        if self.plan.get("template") is False and path.endswith("/chat/completions"):
            return (
                400,
                "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template",
            )
        if self.kind == "sglang" and body.get("top_k") == 0:
            return 400, "top_k must be -1 (disable) or at least 1, got 0."
        room = body.get("max_tokens") or 0
        if self.kind == "sglang" and PROMPT + room > CONTEXT:
            return 400, (
                f"Requested token count exceeds the model's maximum context length of {CONTEXT} tokens. You requested a "
                f"total of {PROMPT + room} tokens: {PROMPT} tokens from the input messages and {room} tokens for the …"
            )
        unknown = sorted(body.keys() - TRTLLM_FIELDS)
        if self.kind == "trtllm" and unknown:
            return 400, f"[{{'type': 'extra_forbidden', 'loc': ('body', '{unknown[0]}'), 'msg': 'Extra inputs are not …'}}]"
        return None


def handler(engine: Engine) -> type[Replying]:
    """The routes of one stand-in."""

    class Handler(Replying):
        def do_GET(self) -> None:
            if engine.hangs:
                time.sleep(600)
            if self.path == "/v1/models":
                ids = [{"id": name, "object": "model", "max_model_len": CONTEXT} for name in engine.names]
                shown = [] if engine.kind == "trtllm" else engine.adapters
                self.say(
                    200,
                    {"object": "list", "data": ids + [{"id": name, "parent": engine.names[0]} for name in shown]},
                )
            else:
                self.say(200 if self.path == "/health" else 404, {})

        def do_POST(self) -> None:
            body = self.asked()
            if engine.hangs:
                time.sleep(600)
            engine.counted()
            self.say(*engine.reply(self.path, body))

    return Handler


def _dashed(word: str) -> str:
    """vLLM's parser takes underscores in the names of options."""
    name, mark, value = word.partition("=")
    return name.replace("_", "-") + mark + value if word.startswith("--") else word


def _named(pairs: list[str] | None) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs or [])


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    Engine(kind, words[1:] if words[:1] == ["serve"] else words).start()
