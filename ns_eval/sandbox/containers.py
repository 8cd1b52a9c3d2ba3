"""Walls that a container tool raises around all sessions: Docker, Podman or Apptainer, where a site has one of them.

The zygote runs in the container and keeps its sessions apart by Landlock and seccomp; it reaches us through a socket in a
folder that is bound into it, because these tools hand no descriptor on. The image needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence

from ns_eval.sandbox import kernel

TOOLS = ("docker", "podman", "apptainer")
_MOST = 16384
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
# What the tool itself may need of the launcher's environment; inside there is none of it.
_KEPT = (
    "PATH", "HOME", "USER", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST",
    "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "APPTAINER_CACHEDIR", "APPTAINER_TMPDIR", "APPTAINER_CONFIGDIR",
)  # fmt: skip


def command(tool: str, image: str, program: Sequence[str], env: Mapping[str, str], shared: str, package: str) -> list[str]:
    """The command line that runs `program` in the container, with `env` alone, without network and capabilities; `shared`
    can be written from inside, `package` read."""
    if tool == "apptainer":
        settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        walls = ["--containall", "--cleanenv", "--no-home", "--no-privs", "--net", "--network", "none"]
        binds = ["--bind", f"{package}:{package}:ro", "--bind", f"{shared}:{shared}"]
        return ["apptainer", "--quiet", "exec", *walls, *settings, *binds, image, *program]
    settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    walls = [
        "--network",
        "none",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--ipc",
        "private",
    ]
    # The count is of all sessions together; each has its own, kept by us.
    walls += ["--pids-limit", "32768", "--tmpfs", "/tmp", *_limits(), *_who(tool)]
    binds = ["--volume", f"{package}:{package}:ro", "--volume", f"{shared}:{shared}"]
    return [tool, "run", "--rm", "--pull", "never", *walls, *settings, *binds, image, *program]


def environment() -> dict[str, str]:
    """What the tool is started with."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _limits() -> list[str]:
    """Ours: the tools' own are higher than this machine may allow, and then nothing starts."""
    found = [word for name, kind in _LIMITS.items() for word in ("--ulimit", _limit(name, resource.getrlimit(kind)[1]))]
    return ["--ulimit", "core=0:0", *found]


def _limit(name: str, most: int) -> str:
    value = _MOST if most == resource.RLIM_INFINITY else min(most, _MOST)
    return f"{name}={value}:{value}"


def _who(tool: str) -> list[str]:
    """Inside nobody is root, and whoever is there can be signalled from here."""
    if os.geteuid() == 0:
        return ["--user", f"{kernel.NOBODY}:{kernel.NOBODY}"]
    rootless = ["--userns", "keep-id"] if tool == "podman" else []
    return [*rootless, "--user", f"{os.getuid()}:{os.getgid()}"]
