"""The broker's watcher: runs the JVM and ends it when the parent is gone, however it went.

Started by path with `python watch.py PARENT_PID LOCK_PATH COMMAND…`, its standard input a pipe
held open by the parent. It imports nothing of the package, so that it is up in milliseconds.

1 start the JVM and print its process id; 2 wait for end of input, a changed parent or a signal;
3 ask the JVM to stop, then kill it after a grace; 4 remove the lock file.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

# A clean stop takes about a second; the parent is promised an end within five.
GRACE_SECONDS = 3.5
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


class StopRequestedError(Exception):
    """A signal asked the watcher to end the broker."""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise StopRequestedError


def _die_with_parent() -> None:
    """Let Linux kill the JVM should the watcher itself be killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _parent_gone(parent: int) -> bool:
    """Tell whether the pipe has ended or the parent has died, waiting a short while."""
    readable, _, _ = select.select([0], [], [], POLL_SECONDS)
    ended = bool(readable) and os.read(0, 1) == b""
    # A forked child of the parent may hold the pipe open, so its end alone is not proof enough.
    return ended or os.getppid() != parent


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop the JVM politely, then surely."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main(argv: list[str]) -> int:
    """Run the command until it ends or nobody wants it any more, and return its exit code."""
    parent, lock, command = int(argv[0]), Path(argv[1]), argv[2:]
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        # Safe here: this process has one thread.
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    try:
        os.write(1, f"{child.pid}\n".encode())
        while child.poll() is None and not _parent_gone(parent):
            pass
    except (StopRequestedError, BrokenPipeError):
        pass  # Falls through to the same ending.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if child.poll() is None:
        _end(child)
    lock.unlink(missing_ok=True)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
