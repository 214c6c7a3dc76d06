"""The real worker on a wall clock that jumps: `CHAOS_CLOCK` names a file with the offset in ms."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stream.edge import processes, world


class SkewedClock(world.SystemClock):
    """The host's wall clock, put off by what the file says at the moment of asking."""

    def now_ms(self) -> int:
        """Epoch milliseconds, jumping."""
        return super().now_ms() + int(Path(os.environ["CHAOS_CLOCK"]).read_text() or "0")


if __name__ == "__main__":
    world.SystemClock = SkewedClock  # type: ignore[misc]
    sys.exit(processes.main(sys.argv[1:]))
