"""Where the shared reference data lies, for the tests that read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
SHARED = Path(os.environ.get("NS_SHARED", REPO.parent / "shared"))

needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"the reference data is not at {SHARED}")
