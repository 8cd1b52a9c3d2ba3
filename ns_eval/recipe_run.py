"""Runs the commands of a recipe's stages: those of all models at once, under one display, within one budget."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from ns_eval import job_files, progress
from ns_eval.errors import BudgetError, JobError, NsError
from ns_eval.shared_budget import Dealer
from ns_eval.spending import DEAL_S, dollars

Lines: TypeAlias = Mapping[str, Sequence[str]]
_LOOK_S = 1.0
_SAY_S = 10.0
_GRACE_S = "30"
# A command that says its own table is done although some samples are not graded: the recipe goes on and says it.
_INCOMPLETE = 6


@dataclass
class Ends:
    """The commands that ended with less than they were to do, by the names of their folders: for want of money, or else."""

    stopped: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)

    def told(self, dealer: Dealer | None) -> int:
        """The exit code of the recipe, with the reason where that is not 0.

        Raises:
            BudgetError: the budget left something unasked.
        """
        if self.stopped and dealer:
            now = dealer.now
            raise BudgetError(
                f"the budget of {dollars(now.budget_usd)} is reached: {dollars(now.spent_usd)} are spent; "
                f"not all is asked of {', '.join(self.stopped)}",
                hint="the same command with a larger ++budget_usd goes on where it stopped",
            )
        if self.incomplete:
            missing = ", ".join(self.incomplete)
            print(f"not everything is graded: {missing}; the same command asks what is missing", file=sys.stderr)
        return _INCOMPLETE if self.incomplete else 0


def run_one(name: str, words: Sequence[str], dealer: Dealer | None) -> None:
    """Runs the one command of a stage, which speaks for itself.

    Raises:
        JobError: it failed.
    """
    process = subprocess.Popen([sys.executable, "-m", "ns_eval", *words])
    try:
        while process.poll() is None:
            if dealer is not None:
                dealer.deal(None)
            try:
                process.wait(_LOOK_S if dealer is None else DEAL_S)
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        process.wait()  # Ctrl-C reaches it as well
        raise
    if process.returncode:
        raise JobError(f"stage {name} ended with {process.returncode}, see above")


def run_each(lines: Lines, output_dir: Path, dealer: Dealer | None) -> Ends:
    """Runs the commands of a stage, all at once; `lines` by the names of their folders.

    Raises:
        JobError: one failed; the others have run to their end.
    """
    logs = {label: output_dir / "logs" / f"{label}.log" for label in lines}
    codes = _all_at_once(lines, logs, output_dir, dealer)
    ends = Ends()
    for label, code in codes.items():
        if code == BudgetError.exit_code and dealer is not None and dealer.stopped(label):
            ends.stopped.append(label)
        elif code == _INCOMPLETE:
            ends.incomplete.append(label)
    _require({label: code for label, code in codes.items() if label not in (*ends.stopped, *ends.incomplete)}, logs)
    return ends


def _all_at_once(lines: Lines, logs: Mapping[str, Path], output_dir: Path, dealer: Dealer | None) -> dict[str, int]:
    """Every command behind a keeper, which ends it when this process is gone, by whatever means."""
    keeper = Path(__file__).with_name("keeper.py")
    (output_dir / "logs").mkdir(exist_ok=True)
    started: dict[str, subprocess.Popen[bytes]] = {}
    shown = _Display(output_dir, list(lines), dealer)
    with ExitStack() as opened:
        for label, words in lines.items():
            log = opened.enter_context(logs[label].open("ab"))
            command = [sys.executable, "-I", str(keeper), _GRACE_S, sys.executable, "-m", "ns_eval", *words]
            started[label] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            while running := {label for label, process in started.items() if process.poll() is None}:
                if dealer is not None:
                    dealer.deal(running)
                shown.show(lambda label: started[label].poll())
                time.sleep(_LOOK_S if dealer is None else DEAL_S)
        finally:
            for process in started.values():
                if process.stdin:
                    process.stdin.close()
            codes = {label: process.wait() for label, process in started.items()}
            if dealer is not None:
                dealer.deal(())
            shown.close(codes.__getitem__)
    return codes


class _Display:
    """On a terminal a line for each model and one for all, rewritten; elsewhere the last one alone, now and then."""

    def __init__(self, output_dir: Path, labels: Sequence[str], dealer: Dealer | None) -> None:
        self._output_dir, self._labels, self._dealer = output_dir, labels, dealer
        self._terminal = sys.stderr.isatty()
        self._height = 0
        self._said = ""
        self._at = time.monotonic() - _SAY_S + _LOOK_S

    def show(self, code: Callable[[str], int | None]) -> None:
        """Call it often. `code` says how the command of a model ended; None while it runs."""
        now = time.monotonic()
        if now - self._at >= (_LOOK_S if self._terminal else _SAY_S):
            self._at = now
            self._say(code)

    def close(self, code: Callable[[str], int | None]) -> None:
        """How it ended."""
        self._say(code)

    def _say(self, code: Callable[[str], int | None]) -> None:
        found = {label: list(_snapshots(self._output_dir / label)) for label in self._labels}
        whole = self._whole([own for snapshots in found.values() for own in snapshots], code)
        if not self._terminal:
            if whole != self._said:
                print(whole, file=sys.stderr, flush=True)
            self._said = whole
            return
        width = max(map(len, self._labels))
        lines = [f"  {label:<{width}}  {_state(snapshots, code(label))}" for label, snapshots in found.items()]
        room = shutil.get_terminal_size()
        # More lines than the terminal has could not be rewritten, nor one that wraps.
        shown = [*lines, whole] if len(lines) + 2 <= room.lines else [whole]
        up = f"\x1b[{self._height}A" if self._height else ""
        text = "".join(f"\r\x1b[2K{line[: room.columns - 1]}\n" for line in shown)
        print(f"{up}{text}", end="", file=sys.stderr, flush=True)
        self._height = len(shown)

    def _whole(self, begun: Sequence[progress.Snapshot], code: Callable[[str], int | None]) -> str:
        """All models as one, and what they have spent of their budget."""
        now, spent = progress.summed(begun), ""
        if self._dealer is not None:
            dealt = self._dealer.now
            now, spent = (
                msgspec.structs.replace(now, usd=0.0),
                f" · {dollars(dealt.spent_usd)} of {dollars(dealt.budget_usd)}",
            )
        ended, count = sum(code(label) is not None for label in self._labels), len(self._labels)
        told = progress.line(now) if begun else "starting"
        return f"{count} model{'s' * (count != 1)}, {ended} ended: {told}{spent}"


def _state(snapshots: Sequence[progress.Snapshot], code: int | None) -> str:
    """One model: its jobs as one, and how its command ended."""
    told = progress.line(progress.summed(snapshots)) if snapshots else "starting"
    if code is None:
        return told
    end = "done" if code == 0 else "incomplete" if code == _INCOMPLETE else f"ended with {code}"
    return f"{told} · {end}" if snapshots else end


def _snapshots(folder: Path) -> Iterator[progress.Snapshot]:
    try:
        jobs = job_files.read_table(folder).jobs if job_files.has_table(folder) else ()
    except (NsError, msgspec.DecodeError):  # it is being written
        return
    for job in jobs:
        yield progress.read(job_files.progress_path(folder, job.name))


def _require(codes: Mapping[str, int], logs: Mapping[str, Path]) -> None:
    failed = {label: code for label, code in codes.items() if code}
    if failed:
        told = [f"{label} ({code}): {_last(logs[label])}" for label, code in failed.items()]
        raise JobError(
            f"{len(failed)} of {len(logs)} commands failed: {'; '.join(told)}",
            hint="mend it and give the same command again: what is done is not done twice",
        )


def _last(log: Path) -> str:
    """What went wrong, as the command said it."""
    lines = job_files.last_lines(log, 40)
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]
