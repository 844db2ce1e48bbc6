"""`python -m generator`: the same as the command `gen-deploy`. Floor 6."""

from __future__ import annotations

import sys

from generator.cli import main

if __name__ == "__main__":
    sys.exit(main())
