"""Asks for one judgement until it can be read, and keeps the replies on disk as any other answers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from judges.record import total
from ns_eval.client import Client
from ns_eval.judge_plan import Judging, JudgingShare
from ns_eval.loop import Answer, Shelf
from ns_eval.records import Generation, Json, Question, Request, loads, sample_from_row
from ns_eval.seed_file import Line, SeedFile

FOLDER = "judge-calls"


class Task(Protocol):
    """One folder to judge, as the job sees it: which replies it lacks, how they are asked for, what is written of them."""

    shelf: Shelf

    def asking(self, client: Client) -> Answer: ...

    def write(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends what a judge says. `schema` is the response_format of the reply, where the judge has one."""

    client: Client
    share: JudgingShare
    schema: Mapping[str, Json] | None = None

    async def until_readable(
        self,
        name: str,
        repeat: int,
        messages: Callable[[int], Sequence[Mapping[str, Any]]],
        retry: Callable[[Generation, int], bool],
    ) -> Generation:
        """The first reply that `retry` takes, or the last; its tokens and seconds are those of all asks together."""
        sampling = self.share.sampling
        if self.schema is not None:
            sampling = dataclasses.replace(sampling, extra_body={**sampling.extra_body, "response_format": self.schema})
        replies: list[Generation] = []
        while not replies or retry(replies[-1], len(replies)):
            request = Request(name, repeat or None, sampling, messages=tuple(messages(len(replies) + 1)))
            replies.append(await self.client.complete(request, timeout_s=self.share.timeout_s))
        return _together(replies, self.share.backend.model)


def asked_model(reply: Generation, otherwise: str) -> str:
    """Who gave a stored reply: a folder that was judged with ++force=true holds those of several."""
    return str(reply.meta.get("model", otherwise))


def _together(replies: Sequence[Generation], model: str) -> Generation:
    last = replies[-1]
    return dataclasses.replace(
        last,
        prompt_tokens=total(reply.prompt_tokens for reply in replies),
        completion_tokens=total(reply.completion_tokens for reply in replies),
        seconds=sum(reply.seconds for reply in replies),
        meta={**last.meta, "asks": len(replies), "model": model},
    )


def calls_shelf(judging: Judging, names: Sequence[str]) -> tuple[Shelf, SeedFile]:
    """The replies of one judged folder on disk; they lie beside the judged files. A chunk has every n-th of the calls."""
    which, count = judging.chunk or (0, 1)
    calls = SeedFile(judging.folder / FOLDER, None, which if judging.chunk else None)
    asked = [Question(name, "") for name in names[which::count]]
    shelf = Shelf(str(judging.folder), asked, {None: calls}, names)
    shelf.read()
    return shelf, calls


def all_answered(shelf: Shelf) -> bool:
    """Whether every call of the folder has a reply or a recorded failure, those of the other chunks too."""
    calls = shelf.files[None]
    calls.read()
    return all(name in calls.lines for name in shelf.whole)


def stored_replies(calls: SeedFile) -> dict[str, Generation]:
    """Every reply on disk by its name."""
    while True:
        calls.read()
        with contextlib.suppress(FileNotFoundError):  # the writer of another chunk has just put the files together
            return {name: _reply_at(line) for name, line in calls.lines.items()}


def _reply_at(line: Line) -> Generation:
    with line.path.open("rb") as file:
        file.seek(line.offset)
        return sample_from_row(loads(file.readline())).generation
