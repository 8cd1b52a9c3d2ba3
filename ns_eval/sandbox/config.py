"""The sandbox's settings: what model-written code may use, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SandboxConfig:
    """Where model-written code runs, and what it may use there."""

    host: str = ""
    """Address of a sandbox that runs already (`ns sandbox serve`, or NeMo-Skills' own); empty: the run starts its own."""
    port: int = 6000
    """Port of that sandbox."""
    token_env: str = ""
    """The environment variable that holds its token."""
    walls: str = "auto"
    """auto takes the best that this machine allows: namespaces, bwrap, landlock; a name insists on that one.
    docker, podman and apptainer put all sessions into a container of `image`."""
    image: str = ""
    """The image for docker, podman or apptainer, which must be there already; it needs Python 3.11 or newer."""
    allow_unsafe: bool = False
    """Run model-written code even where no wall stands. Your files and network are then open to it."""
    python: str = ""
    """The interpreter whose packages the code may import. Default: the one that runs ns; in an image, python3."""
    preload: list[str] = field(default_factory=lambda: ["numpy", "sympy"])
    """Modules that sessions find loaded already; those that are not installed are left out."""
    timeout_s: float = 10.0
    """Seconds one piece of code may take."""
    patience: float = 3.0
    """A test program may take its limit in CPU seconds, and this many times that by the clock, for a busy node's sake."""
    parallel: int | None = None
    """Pieces of code that run at once; further ones wait. Default: the number of CPUs."""
    memory_mb: int = 2048
    """Memory of one session, its processes together."""
    cpu_s: int = 600
    """CPU seconds of one process of a session, over all its calls."""
    processes: int = 64
    """Processes and threads of one session."""
    tmp_mb: int = 64
    """Size of a session's own /tmp, and of one file."""
    open_files: int = 256
    """Open files of one process."""
    output_kb: int = 256
    """What is kept of the output of one piece of code, each of stdout and stderr."""
