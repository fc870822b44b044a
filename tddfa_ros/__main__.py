"""``python -m tddfa_ros``: the same program as the console script ``tddfa``."""

from __future__ import annotations

import sys

from tddfa_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
