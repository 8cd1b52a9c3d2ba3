"""The tool-integrated round: the model writes until it wants code run, the sandbox runs it, the model goes on.

The loop of NeMo-Skills (nemo_skills/inference/model/code_execution.py at 0b012df8) with two faults repaired: every token
the model wrote counts against its budget, the last part's too, and the number that the prompt promises is the cap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ns_eval import nemo_skills
from ns_eval.config import CodeExecutionConfig
from ns_eval.errors import UsageError
from ns_eval.markup import CodeTags
from ns_eval.records import Generation, Json
from ns_eval.sandbox import CodeSession, Execution, SandboxError
from ns_eval.sandbox.execution import clip
from ns_eval.schema import load_yaml

Message = Mapping[str, Json]
# Parts beyond the executions: other blocks whose end is the same as that of code.
_OTHER_STOPS = 32
_CONTINUE: Message = {"role": "user", "content": "continue"}
# The tool of `++tools=python`, for chat endpoints that call tools natively.
PYTHON_TOOL: Mapping[str, Json] = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Runs Python code and returns what it prints. Variables are kept from call to call.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}


class Ask(Protocol):
    """One request: the prompt so far (a text, or messages), what to stop at, how many tokens are left (None: all the
    room). It never raises for a single sample: `Generation.error` says what failed."""

    async def __call__(
        self, prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None
    ) -> Generation: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What bounds one answer. `limit_tokens` None: the room of the context. `stop`: the user's own phrases."""

    code: CodeExecutionConfig
    tags: CodeTags | None = None
    limit_tokens: int | None = None
    stop: tuple[str, ...] = ()


def executions_allowed(config: CodeExecutionConfig, in_prompt: int | None) -> int:
    """The cap of one answer: the number that the prompt promises is the number that counts.

    Raises:
        UsageError: both are given and differ.
    """
    if in_prompt is None:
        return config.max_code_executions
    if config.max_code_executions not in (in_prompt, CodeExecutionConfig.max_code_executions):
        raise UsageError(
            f"total_code_executions_in_prompt={in_prompt} promises another number of executions than "
            f"server.code_execution.max_code_executions={config.max_code_executions} allows",
            hint="give one of them",
        )
    return in_prompt


def worded(config: CodeExecutionConfig) -> tuple[CodeExecutionConfig, str]:
    """The settings with the sentences about what is left filled in, and in one line whose words these are.

    Raises:
        UsageError: a source that cannot be read, or a sentence that does not take the number.
    """
    ours = CodeExecutionConfig()
    remaining, exhausted, source = _sentences(config)
    if config.remaining_sentence != ours.remaining_sentence:
        remaining, source = config.remaining_sentence, "the settings"
    if config.exhausted_sentence != ours.exhausted_sentence:
        exhausted, source = config.exhausted_sentence, "the settings"
    try:
        remaining.format(remaining=1)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(
            f"the sentence about remaining executions of {source} cannot be filled: `{remaining}`",
            hint="its only field is {remaining}; a literal brace is doubled",
        ) from error
    filled = replace(config, sentences="", remaining_sentence=remaining, exhausted_sentence=exhausted)
    if not config.add_remaining_code_executions:
        return filled, "the model is not told how many executions are left"
    return filled, f'the model is told what is left in the words of {source}: "{remaining}"'


def _sentences(config: CodeExecutionConfig) -> tuple[str, str, str]:
    """(what is said while some are left, what when none is, whose words)"""
    named = config.sentences
    if not named:
        named = "nemo_skills" if config.add_remaining_code_executions and nemo_skills.is_known() else "ns_eval"
    if named == "ns_eval":
        ours = CodeExecutionConfig()
        return ours.remaining_sentence, ours.exhausted_sentence, "ns-eval"
    if named == "nemo_skills":
        remaining, exhausted = nemo_skills.budget_sentences()
        return remaining, exhausted, f"NeMo-Skills in {nemo_skills.package()}"
    path = Path(named)
    if not path.is_file():
        raise UsageError(f"server.code_execution.sentences={named}: neither ns_eval nor nemo_skills nor a file")
    values = load_yaml(path)
    missing = [key for key in ("remaining", "exhausted") if not isinstance(values.get(key), str)]
    if missing:
        raise UsageError(f"{path}: `{missing[0]}:` with a text is missing", hint="it holds `remaining:` and `exhausted:`")
    return values["remaining"], values["exhausted"], str(path)


async def rounds(ask: Ask, session: CodeSession, prompt: str | Sequence[Message], settings: Settings) -> Generation:
    """One answer with its code run between its parts. The text holds the outputs as the model saw them.

    `meta["code"]` records the rounds, seconds, timeouts and the transcript of each execution. A request or a sandbox
    that fails is an error of the sample, with no text.
    """
    tags = settings.tags
    assert tags is not None, "rounds() needs code tags; native_rounds() does without"
    answer = _Answer(settings.limit_tokens)
    stop = (*settings.stop, tags.stop)
    most = settings.code.max_code_executions
    for _ in range(most + 1 + _OTHER_STOPS):
        part = await ask(_continued(prompt, answer.text), stop=stop, max_tokens=answer.left_tokens)
        answer.take(part)
        if part.error is not None:
            return answer.failed(part.error)
        text = closed(part, tags)
        answer.text += text
        code = code_to_run(text, tags)
        done = len(answer.executions)
        if answer.spent or part.finish_reason == "length" or done == most:
            answer.not_run = code is not None or tags.open_blocks(text) > 0
            break
        if code is None:
            if text == part.text:
                break
            continue  # stopped at the end of a block that is no code, such as a fence of another language
        try:
            execution = await session.run(code, settings.code.code_execution_timeout)
        except SandboxError as error:
            return answer.failed(f"sandbox: {error.message}")
        answer.record(code, execution)
        answer.text += shown(execution, tags, settings.code, most - done - 1)
    return answer.generation()


async def native_rounds(ask: Ask, session: CodeSession, prompt: Sequence[Message], settings: Settings) -> Generation:
    """The same for chat endpoints that call tools themselves: the caller's requests offer PYTHON_TOOL.

    A call that cannot be read, or of another tool, is answered with the reason, so that the model can correct itself; it
    counts as one of the executions. A call beyond the last is answered with that, once.
    """
    answer = _Answer(settings.limit_tokens)
    messages = [*prompt]
    while True:
        part = await ask(messages, stop=settings.stop, max_tokens=answer.left_tokens)
        answer.take(part)
        if part.error is not None:
            return answer.failed(part.error)
        answer.text += part.text
        calls = part.meta.get("tool_calls") or []
        answer.not_run |= bool(calls) and (answer.spent or len(answer.executions) >= settings.code.max_code_executions)
        if not calls or answer.spent or answer.told_that_none_is_left:
            break
        messages.append({"role": "assistant", "content": part.text, "tool_calls": calls})
        for call in calls:
            try:
                content = await _called(call, session, answer, settings.code)
            except SandboxError as error:
                return answer.failed(f"sandbox: {error.message}")
            messages.append({"role": "tool", "tool_call_id": call.get("id", ""), "content": content})
    return answer.generation(conversation=messages[len(prompt) :])


def closed(part: Generation, tags: CodeTags) -> str:
    """The part with the end tag that the server has cut off as the stop phrase.

    It is missing where a code block is open, or where the server says that it stopped there. A block that ran out of
    tokens stays open: half a program is not run.
    """
    was_stopped_there = part.meta.get("stop_reason") == tags.stop and not part.text.endswith(tags.end)
    if part.finish_reason == "length" or not (tags.open_blocks(part.text) == 1 or was_stopped_there):
        return part.text
    return part.text + tags.end


def code_to_run(text: str, tags: CodeTags) -> str | None:
    """The code of the block that ends this part; None where it does not end with one."""
    begin, end = tags.begin.strip(), tags.end.strip()
    if not text.rstrip().endswith(end):
        return None
    before, found, code = text.rstrip()[: -len(end)].rpartition(begin)
    if not found or end in code or tags.open_blocks(before) > 0:
        return None
    return _without_fence(code.strip("\n"))


def shown(execution: Execution, tags: CodeTags, config: CodeExecutionConfig, remaining: int) -> str:
    """What the model sees of an execution."""
    most = config.max_code_output_characters
    cut = (clip(text.strip("\n"), most) for text in (execution.stdout, execution.stderr))
    stdout, stderr = (f"{text}\n" if text else "" for text in cut)
    told = f"```system\n{_left(config, remaining)}\n```\n" if config.add_remaining_code_executions else ""
    status = {"ok": "completed", "timeout": "timeout"}.get(execution.status, "error")
    return tags.output(status, stdout, stderr, told)


def _left(config: CodeExecutionConfig, remaining: int) -> str:
    return config.remaining_sentence.format(remaining=remaining) if remaining else config.exhausted_sentence


@dataclass(slots=True)
class _Answer:
    """What has been written, run and used so far."""

    left_tokens: int | None
    text: str = ""
    not_run: bool = False
    told_that_none_is_left: bool = False
    parts: list[Generation] = field(default_factory=list)
    executions: list[dict[str, Json]] = field(default_factory=list)

    @property
    def spent(self) -> bool:
        return self.left_tokens is not None and self.left_tokens <= 0

    def take(self, part: Generation) -> None:
        self.parts.append(part)
        if self.left_tokens is not None:
            self.left_tokens -= part.completion_tokens or 0

    def record(self, code: str, execution: Execution) -> None:
        self.executions.append(
            {
                "code": code,
                "status": execution.status,
                "stdout": execution.stdout,
                "stderr": execution.stderr,
                "seconds": round(execution.seconds, 4),
                "state_lost": execution.state_lost,
            }
        )

    def record_refusal(self, arguments: Json, reason: str) -> None:
        """A call that could not be run."""
        code = None if arguments is None else str(arguments)
        self.executions.append({"code": code, "status": "error", "stdout": "", "stderr": reason, "seconds": 0.0})

    def generation(self, **meta: Json) -> Generation:
        """All parts as one. Prompt tokens are those of the first request: the later ones hold what was counted before."""
        first, last = self.parts[0], self.parts[-1]
        counted = [part.completion_tokens for part in self.parts if part.completion_tokens is not None]
        reasoning = [part.reasoning for part in self.parts if part.reasoning]
        return replace(
            last,
            text=self.text,
            reasoning="\n".join(reasoning) or None,
            prompt_tokens=first.prompt_tokens,
            completion_tokens=sum(counted) if counted else None,
            finish_reason="length" if self.spent else last.finish_reason,
            seconds=sum(part.seconds for part in self.parts) + self._code_seconds(),
            started=first.started,
            attempts=max(part.attempts for part in self.parts),
            meta={**last.meta, **meta, "code": self._summary()},
        )

    def failed(self, reason: str) -> Generation:
        return replace(self.generation(), text="", reasoning=None, finish_reason=None, error=reason)

    def _code_seconds(self) -> float:
        return float(sum(execution["seconds"] for execution in self.executions))

    def _summary(self) -> dict[str, Json]:
        return {
            "rounds": len(self.executions),
            "seconds": round(self._code_seconds(), 4),
            "timeouts": sum(execution["status"] == "timeout" for execution in self.executions),
            "errors": sum(execution["status"] in ("error", "killed") for execution in self.executions),
            "not_run": self.not_run,
            "executions": self.executions,
        }


async def _called(call: Message, session: CodeSession, answer: _Answer, config: CodeExecutionConfig) -> str:
    """What a call is answered with."""
    if len(answer.executions) >= config.max_code_executions:
        answer.told_that_none_is_left = True
        return config.exhausted_sentence
    content = await _result(call, session, answer, config)
    if not config.add_remaining_code_executions:
        return content
    return f"{content}\n{_left(config, config.max_code_executions - len(answer.executions))}"


async def _result(call: Message, session: CodeSession, answer: _Answer, config: CodeExecutionConfig) -> str:
    function = call.get("function") or {}
    given = function.get("arguments")
    if function.get("name") != "python":
        answer.record_refusal(given, f"no tool {function.get('name')!r}")
        return f"There is no tool {function.get('name')!r}; the only one is python."
    try:
        # Some servers hand the arguments over as JSON in a text, as the API has it, some as the object itself.
        arguments = given if isinstance(given, Mapping) else json.loads(given or "")
        code = arguments["code"]
    except (ValueError, KeyError, TypeError) as error:
        answer.record_refusal(given, f"unreadable call: {error}")
        return f'The call could not be read ({error}). Expected {{"code": "…"}} as JSON.'
    execution = await session.run(str(code), config.code_execution_timeout)
    answer.record(str(code), execution)
    most = config.max_code_output_characters
    return clip(execution.stdout, most) + clip(execution.stderr, most)


def _continued(prompt: str | Sequence[Message], text: str) -> str | Sequence[Message]:
    if isinstance(prompt, str):
        return prompt + text
    return [*prompt, {"role": "assistant", "content": text}, _CONTINUE] if text else prompt


def _without_fence(code: str) -> str:
    """Some models put a Markdown fence inside their code tags."""
    fenced = re.fullmatch(r"\s*```(?:python|py)?\n(.*?)\n?```\s*", code, re.DOTALL)
    return fenced[1] if fenced else code
