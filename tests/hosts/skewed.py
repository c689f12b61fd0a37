"""The `ioint` command on a machine whose clock is wrong: `python -m tests.hosts.skewed SECONDS ARGUMENT…`.

The node asks for the time in one way, which is changed here before it is loaded. A preloaded library that changes it
for the whole process (libfaketime) also breaks the waiting of threads for one another.
"""

from __future__ import annotations

import sys
import time


def skew(by_s: int) -> None:
    """Let wall clocks of this process be ahead by so much; what measures durations stays as it is."""
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + by_s * 1_000_000_000
    time.time = lambda: time.time_ns() / 1e9


if __name__ == "__main__":
    skew(int(sys.argv.pop(1)))

    from ioint_node.cli import main

    sys.exit(main())
