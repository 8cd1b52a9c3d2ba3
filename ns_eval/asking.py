"""How one sample is asked: by one request, turn by turn, by the likelihoods of its options, or in rounds with code."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from ns_eval import likelihood, prompts, runs
from ns_eval.client import Client
from ns_eval.loop import Answer
from ns_eval.records import Generation, Question, Request
from ns_eval.runs import BenchmarkRun, CodeRun, ReferenceRun
from ns_eval.sandbox import CodeSession
from ns_eval.sandbox.box import Sandbox
from ns_eval.sandbox.remote import RemoteSandbox
from ns_eval.tools import Message, Settings, native_rounds, rounds
from ns_eval.turns import converse, turns_of


def asking(run: BenchmarkRun, client: Client, sandbox: Sandbox | RemoteSandbox | None) -> Answer:
    """What answers a (question, seed) of this benchmark, each sample with its own seed."""

    async def once(asked: Request) -> Generation:
        return await client.complete(asked, timeout_s=run.timeout_s)

    async def answer(question: Question, seed: int | None) -> Generation:
        asked = runs.request_of(run, question, seed)
        if run.likelihood:
            return await likelihood.answer(once, asked, question, run.likelihood)
        if run.code is not None and sandbox is not None:
            session = sandbox.session(f"{run.name} {run.adapter} {question.id} {seed}")
            try:
                return await _in_rounds(once, asked, session, run.code)
            finally:
                await session.close()
        later = turns_of(question)[1:] if run.split else ()
        return await (converse(once, asked, later) if later else once(asked))

    whole = answer if run.reference is None else _with_reference(run.reference, once, answer)
    return whole if run.longer is None else _longer(run, whole)


def _with_reference(wanted: ReferenceRun, once: Callable[[Request], Awaitable[Generation]], answer: Answer) -> Answer:
    """Asks about the question's reference too; where that fails, so has the sample, and both are asked again."""

    async def both(question: Question, seed: int | None) -> Generation:
        reply = await answer(question, seed)
        if reply.error is not None or not question.expected_answer:
            return reply
        asked = prompts.request(wanted.prompt, question, seed, wanted.sampling)
        found = await likelihood.of_reference(once, asked, question.expected_answer)
        return found if found.error is not None else dataclasses.replace(reply, meta={**reply.meta, **found.meta})

    return both


async def _in_rounds(
    once: Callable[[Request], Awaitable[Generation]], asked: Request, session: CodeSession, code: CodeRun
) -> Generation:
    async def ask(prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None) -> Generation:
        sampling = dataclasses.replace(asked.sampling, stop=tuple(stop), max_tokens=max_tokens)
        sent = {"text": prompt} if isinstance(prompt, str) else {"messages": tuple(prompt)}
        return await once(dataclasses.replace(asked, sampling=sampling, **sent))

    settings = Settings(code.config, code.tags, asked.sampling.max_tokens, asked.sampling.stop)
    if code.tags is None:
        return await native_rounds(ask, session, asked.messages or (), settings)
    return await rounds(ask, session, asked.text or asked.messages or (), settings)


def _longer(run: BenchmarkRun, answer: Answer) -> Answer:
    """Says in the sample itself that it was asked with another limit than the rest of its file."""
    limits = {"from": run.settings.get("inference.tokens_to_generate"), "to": run.longer}

    async def again(question: Question, seed: int | None) -> Generation:
        reply = await answer(question, seed)
        return dataclasses.replace(reply, meta={**reply.meta, "extended": limits})

    return again
