"""The broker's jars: fetched once by Maven from the pinned `pom.xml`, then kept in a cache.

`python -m stream.broker.jars` fetches them ahead of time and prints their folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.errors import BrokerError

POM = Path(__file__).with_name("pom.xml")
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# The first fetch moves 43 MB; a slow line is given its time, a dead one is not waited for for ever.
FETCH_TIMEOUT_SECONDS = 600
LOCK_POLL_SECONDS = 0.2


def default_cache() -> Path:
    """Return the folder under which the jars are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "tenminute"


def kafka_version() -> str:
    """Return the Kafka version the pom pins."""
    match = re.search(r"<kafka\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    assert match is not None, "pom.xml names no kafka.version"
    return match[1]


def jars_folder(cache: Path) -> Path:
    """Return where the jars of this very pom live; another pom has another folder."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return cache / f"kafka-{kafka_version()}-{digest}"


def ensure_jars(cache: Path | None = None) -> Path:
    """Return the folder of jars, fetching them first where it is missing; runs may collide."""
    cache = cache or default_cache()
    folder = jars_folder(cache)
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(
            "Maven, which fetches the broker, is not installed",
            fix=f"install it (Debian: apt-get install maven), or copy {folder} from a machine "
            "that has it",
        )
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _fetch(maven, folder)
    return folder


def _fetch(maven: str, folder: Path) -> None:
    """Let Maven copy every jar beside the final folder, then move them there in one step."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        # A copy, so that Maven writes nothing beside the package's own pom.
        pom = shutil.copy(POM, scratch)
        jars = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", pom, COPY_GOAL, f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(
                [*command, "-DincludeScope=runtime"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=FETCH_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _unreachable(f"no answer in {FETCH_TIMEOUT_SECONDS} s", folder) from None
        if done.returncode != 0 or not any(jars.glob("kafka_*.jar")):
            raise _unreachable(_cause(done.stdout), folder)
        jars.rename(folder)


def _cause(output: str) -> str:
    """Return the first error line of Maven's output, cut to a length that can be read."""
    lines = [line for line in output.splitlines() if "ERROR" in line] or output.splitlines()
    return lines[0].strip()[:300] if lines else "it said nothing"


def _unreachable(cause: str, folder: Path) -> BrokerError:
    return BrokerError(
        f"Maven could not fetch Kafka {kafka_version()}: {cause}",
        fix="check the network, or the mirror and proxy in ~/.m2/settings.xml, and run again; "
        f"or copy {folder} from a machine that has it",
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file lock, waiting for another run's fetch to end."""
    deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"another run has been fetching the broker for {FETCH_TIMEOUT_SECONDS} s",
                        fix="end it and run again",
                    ) from None
                time.sleep(LOCK_POLL_SECONDS)
        yield


if __name__ == "__main__":
    try:
        print(ensure_jars())
    except BrokerError as error:
        sys.exit(f"error: {error}")
