"""`python -m ns_eval` is `ns`."""

import sys

from ns_eval.cli import main

sys.exit(main())
