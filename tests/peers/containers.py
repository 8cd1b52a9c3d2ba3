"""Stand-ins for `docker run`, `podman run` and `apptainer exec`: they know the options that ns uses and refuse others as the
real ones do, note what they were told in the file STANDIN_TOLD, and run the program with the environment that was asked for.

Options: docs.docker.com/reference/cli/docker/container/run (29), podman-run(1) 4.3.1, apptainer exec (1.4).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

RUN: dict[str, str | list[str] | None] = {
    "--rm": None, "--pull": ["always", "missing", "never"], "--network": "one", "--read-only": None, "--cap-drop": "many",
    "--security-opt": "many", "--ipc": "one", "--pids-limit": "one", "--ulimit": "many", "--tmpfs": "many", "--user": "one",
    "--env": "many", "--volume": "many",
}  # fmt: skip
OPTIONS: dict[str, dict[str, str | list[str] | None]] = {
    "docker": RUN,
    "podman": RUN | {"--userns": "one"},
    "apptainer": {
        "--nv": None,
        "--containall": None, "--cleanenv": None, "--no-home": None, "--no-privs": None, "--net": None, "--network": "one",
        "--env": "many", "--bind": "many",
    },
}  # fmt: skip
IMAGES = ("python:3.12-slim", "/images/python.sif")


def main(tool: str, words: list[str]) -> None:
    words = words[1:] if tool == "apptainer" and words[0] == "--quiet" else words
    if words[0] != {"apptainer": "exec"}.get(tool, "run"):
        sys.exit(f"{tool}: unknown command {words[0]!r}")
    parser = argparse.ArgumentParser(prog=tool, allow_abbrev=False)
    for name, kind in OPTIONS[tool].items():
        if kind is None:
            parser.add_argument(name, action="store_true")
        elif isinstance(kind, list):
            parser.add_argument(name, choices=kind)
        else:
            parser.add_argument(name, action="append" if kind == "many" else "store")
    parser.add_argument("image")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    told = parser.parse_args(words[1:])
    if told.image not in IMAGES:
        sys.exit(f"Error: {told.image}: image not known")
    with Path(os.environ["HOME"], "told.json").open("w") as file:
        json.dump(vars(told) | {"environment": dict(os.environ)}, file)
    given = dict(item.split("=", 1) for item in told.env or ())
    # Only these two keep the variables of the host out.
    closed = tool != "apptainer" or told.containall or told.cleanenv
    os.execve(sys.executable, [sys.executable, *told.program[1:]], given if closed else {**os.environ, **given})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
