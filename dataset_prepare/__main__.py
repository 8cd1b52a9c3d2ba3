"""`python -m dataset_prepare NAMES…` is `ns prepare_data NAMES…`."""

from __future__ import annotations

import sys

from ns_eval.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare_data", *sys.argv[1:]]))
