"""A long-lived child process: its own session, its output in a file, ended as a whole when we end, however we end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ns_eval.errors import ServerError

# vLLM under load takes 3 to 11 s to end, SGLang finishes every running request first: nobody waits for those answers.
GRACE_S = 5.0
_KEEPER = Path(__file__).with_name("keeper.py")
_READ_BYTES = 1 << 18

_ERROR_LINE = re.compile(r"error|exception|fatal|out of memory|\bkilled\b|traceback|cannot|failed", re.IGNORECASE)
_NAMED_ERROR = re.compile(r"\b\w*(Error|Exception)\b\s*:|\berror:|\bout of memory\b|^[\d.]+ E ")
# What follows an error without being it: vLLM's pointer upwards, SGLang's farewell, pydantic's footer.
_NOT_THE_CAUSE = re.compile(
    r"See root cause above|kill_process_tree|For further information visit|Failed to init server|freeze_gc"
)
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemoryError|cudaErrorMemoryAllocation|No available memory for", re.I)


@dataclass(frozen=True, slots=True)
class Child:
    """A running command. `log` holds what it says, from byte `log_start` on."""

    keeper: asyncio.subprocess.Process
    log: Path
    log_start: int

    async def ended(self) -> int:
        """Waits for the end; the exit code, which says little: vLLM ends with 0 when its engine dies."""
        return await self.keeper.wait()

    @property
    def running(self) -> bool:
        return self.keeper.returncode is None

    async def stop(self) -> None:
        """Ends it and all it started; returns when all of it is gone."""
        if self.keeper.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self.keeper.stdin.close()
        try:
            await asyncio.wait_for(self.keeper.wait(), GRACE_S + 5.0)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.keeper.kill()

    def last_error(self) -> str:
        """The last line of the log that names an error, else its last line."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, size - _READ_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        for pattern in (_NAMED_ERROR, _ERROR_LINE):
            for line in reversed(lines):
                if pattern.search(line) and not _NOT_THE_CAUSE.search(line):
                    return line[:500]
        return lines[-1][:500] if lines else "it wrote nothing"


async def start(command: Sequence[str], env: Mapping[str, str], log: Path) -> Child:
    """Starts an argument list, its output appended to `log`.

    Raises:
        ServerError: the program does not exist, or the log cannot be written.
    """
    environment = {**os.environ, **env}
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise ServerError(
            f"there is no program `{command[0]}` on this machine",
            hint="install it in this environment, or give its path (a server's: ++server.argv=[/path/to/it,…])",
        )
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            log_start = output.seek(0, os.SEEK_END)
            keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(_KEEPER), str(GRACE_S), *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        raise ServerError(f"cannot start {command[0]}: {error}") from error
    return Child(keeper, log, log_start)


def memory_hint(error: str) -> str | None:
    """What to change where an engine ran out of memory."""
    if _OUT_OF_MEMORY.search(error):
        return "out of memory: lower ++server.context=N or ++server.max_num_seqs=N, or give it more --server_gpus"
    return None
