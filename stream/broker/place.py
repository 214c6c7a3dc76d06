"""What the broker needs of the machine: room on the disk, free ports, a folder nobody else uses."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import socket
from pathlib import Path

from stream.errors import BrokerError

# A demo of 10,000 applications and 200,000 whitelist entries writes some 300 MB.
FREE_BYTES_MIN = 1_000_000_000
# Below the range from which Linux and macOS pick the ports of outgoing connections.
PORT_RANGE = range(20_000, 32_000)
PORT_TRIES = 100


def check_room(folder: Path) -> None:
    """Refuse a folder whose disk has too little left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise BrokerError(
            f"the disk under {folder} has {free / 1e9:.2f} GB left, the broker needs "
            f"{FREE_BYTES_MIN / 1e9:.0f} GB",
            fix="free some space or choose another folder",
        )


def disk_error(error: OSError, folder: Path) -> BrokerError:
    """Turn a failed write into one line that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BrokerError(
            f"the disk under {folder} is full", fix="free some space or choose another folder"
        )
    return BrokerError(
        f"the broker cannot write to {folder}: {error.strerror}",
        fix="choose a folder this user may write to",
    )


def port_is_free(port: int) -> bool:
    """Tell whether the loopback port can be listened on now."""
    with socket.socket() as probe:
        # As the broker does it: a port in TIME_WAIT is free, a port with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a loopback port nobody listens on."""
    # Not from the seeded generator: two runs of one seed would be given the same ports.
    for port in random.SystemRandom().sample(PORT_RANGE, PORT_TRIES):
        if port_is_free(port):
            return port
    raise BrokerError(
        f"no free port among {PORT_TRIES} tried", fix="end other servers or give a port"
    )


def check_port(port: int) -> None:
    """Refuse a port on which somebody listens already."""
    if not port_is_free(port):
        raise BrokerError(
            f"port {port} is taken by another process",
            fix="stop that process, or choose another port (0 lets the broker choose)",
        )


def take_lock(path: Path) -> int:
    """Lock the broker's folder and return the open descriptor; whoever holds it holds the lock."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_error(error, path.parent) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BrokerError(
                f"another broker is running in {path.parent}",
                fix="stop it or choose another folder",
            ) from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        # The last holder removed the file between our open and our lock: lock the new one.
        os.close(descriptor)
