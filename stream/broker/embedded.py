"""A real one-node Kafka in a folder of its own, for the demo, the tests and a developer's day.

Starting, in order: 1 lock the folder; 2 write the properties and format the data folder where it
is new; 3 start the watcher, which starts the JVM and outlives nobody; 4 wait until the broker
answers a request. The watcher holds the lock, so the lock ends with the broker and not before.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.broker.jars import ensure_jars, kafka_version
from stream.broker.java import find_java
from stream.broker.place import check_port, check_room, disk_error, free_port, take_lock
from stream.broker.settings import CLUSTER_ID, server_properties
from stream.errors import BrokerError

HEAP_MB = 512
# Three seconds is usual; a loaded machine of two cores has needed twenty.
START_TIMEOUT_SECONDS = 90.0
FORMAT_TIMEOUT_SECONDS = 60.0
# The watcher kills the JVM after 3.5 s, so this passes only if the watcher itself hangs.
STOP_TIMEOUT_SECONDS = 5.0
PROBE_TIMEOUT_SECONDS = 0.5

_WATCH = Path(__file__).with_name("watch.py")
_LOG_CONFIG = Path(__file__).with_name("log4j2.xml")


class EmbeddedBroker:
    """One Kafka node; a context manager, or `start()` and `stop()` by hand."""

    kind: Literal["kafka", "mock"] = "kafka"

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        cache: Path | None = None,
        heap_mb: int = HEAP_MB,
        proxied_port: int | None = None,
    ) -> None:
        """Remember where to keep data and log; port 0 means any free one, kept over restarts.

        With `proxied_port` the broker also listens at `behind_proxy`, and tells whoever comes
        that way to use that port: a proxy there sees all that its clients say.
        """
        self.folder = folder
        self.log_path = folder / "broker.log"
        self.why = f"Apache Kafka {kafka_version()}"
        self._data = folder / "data"
        self._lock_path = folder / "broker.lock"
        self._port = port
        self._cache = cache
        self._heap_mb = heap_mb
        self._proxied = None if proxied_port is None else (free_port(), proxied_port)
        self._watcher: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def bootstrap(self) -> str:
        """Return the address clients are given."""
        assert self._port, "the broker has not been started"
        return f"127.0.0.1:{self._port}"

    @property
    def behind_proxy(self) -> str:
        """Return where a proxy on `proxied_port` finds the broker."""
        assert self._proxied is not None, "the broker was given no proxied_port"
        return f"127.0.0.1:{self._proxied[0]}"

    @property
    def pid(self) -> int:
        """Return the process id of the JVM, for tests that stop or pause it rudely."""
        assert self._watcher is not None, "the broker is not running"
        return self._pid

    @property
    def running(self) -> bool:
        """Tell whether the broker's process is there."""
        return self._watcher is not None and self._watcher.poll() is None

    def start(self) -> Self:
        """Start the broker on its folder, keeping what is in it, and wait until it answers."""
        assert self._watcher is None, "the broker is running already"
        java = find_java()
        jars = ensure_jars(self._cache)
        check_room(self.folder)
        if self._port:
            check_port(self._port)
        lock = take_lock(self._lock_path)
        try:
            self._port = self._port or free_port()
            self._prepare(java, jars)
            self._watcher = self._launch(java, jars, lock)
        except BaseException as error:
            self._lock_path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise disk_error(error, self.folder) from error
            raise
        finally:
            # From here on only the watcher holds the lock.
            os.close(lock)
        self._await_ready()
        return self

    def stop(self) -> None:
        """Stop the broker, in five seconds at most; its data stays."""
        if self._watcher is None:
            return
        watcher, self._watcher = self._watcher, None
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.close()
        try:
            watcher.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()
            self._lock_path.unlink(missing_ok=True)
        watcher.stdout.close()
        # Kafka leaves its own lock files, unlocked, behind.
        for leftover in self._data.glob(".lock"):
            leftover.unlink()

    def kill(self) -> None:
        """End the broker as a power cut would: SIGKILL, nothing flushed."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def restart(self) -> None:
        """Stop the broker and start it again on the same port and data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Start the broker unless it runs already."""
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the broker."""
        self.stop()

    def _prepare(self, java: Path, jars: Path) -> None:
        """Write the properties and, on the first start, format the data folder."""
        properties = self.folder / "server.properties"
        text = server_properties(self._port, free_port(), self._data, self._proxied)
        properties.write_text(text, encoding="utf-8")
        if (self._data / "meta.properties").exists():
            return
        tool = [*self._java(java, jars), "kafka.tools.StorageTool", "format"]
        try:
            done = subprocess.run(
                [*tool, "-t", CLUSTER_ID, "-c", str(properties)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FORMAT_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BrokerError(
                f"the broker did not format its data folder in {FORMAT_TIMEOUT_SECONDS:.0f} s",
                fix=f"the machine is overloaded; run again, or delete {self._data} if that repeats",
            ) from None
        if done.returncode != 0:
            raise self._failed("could not format its data folder", done.stderr or done.stdout)

    def _launch(self, java: Path, jars: Path, lock: int) -> subprocess.Popen[bytes]:
        """Start the watcher and through it the JVM, away from the terminal's Ctrl-C."""
        command = [*self._java(java, jars), "kafka.Kafka", str(self.folder / "server.properties")]
        watch = [sys.executable, "-I", "-S", str(_WATCH), str(os.getpid()), str(self._lock_path)]
        with (self.folder / "jvm.out").open("wb") as output:
            watcher = subprocess.Popen(
                [*watch, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                pass_fds=[lock],
            )
        assert watcher.stdout is not None
        self._pid = int(watcher.stdout.readline() or b"0")
        return watcher

    def _java(self, java: Path, jars: Path) -> list[str]:
        """Return the start of every Java command line."""
        return [
            str(java),
            f"-Xmx{self._heap_mb}m",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG_CONFIG}",
            f"-Dbroker.log={self.log_path}",
            "-cp",
            f"{jars}/*",
        ]

    def _await_ready(self) -> None:
        """Return when the broker answers a metadata request, or stop it and raise."""
        quiet = logging.getLogger("stream.broker.probe")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap,
            "reconnect.backoff.max.ms": 200,
        }
        admin = AdminClient(config, logger=quiet)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        ready = False
        try:
            while self.running and time.monotonic() < deadline and not ready:
                ready = _answers(admin)
        finally:
            if not ready:
                self.stop()
        if not ready:
            raise self._failed("did not start", self._last_words())

    def _last_words(self) -> str:
        """Return the end of what the JVM printed and logged."""
        paths = (self.folder / "jvm.out", self.log_path)
        return "\n".join(p.read_text(errors="replace")[-4000:] for p in paths if p.exists())

    def _failed(self, what: str, output: str) -> BrokerError:
        """Name the known cause in the broker's output, or point to its log."""
        if "No space left on device" in output:
            return BrokerError(
                f"the disk under {self.folder} is full",
                fix="free some space or choose another folder",
            )
        if "Address already in use" in output:
            return BrokerError(
                f"port {self._port} was taken while the broker started",
                fix="run again, or choose another port",
            )
        errors = [line for line in output.splitlines() if "ERROR" in line or "Exception" in line]
        cause = f": {errors[-1].strip()[:200]}" if errors else ""
        return BrokerError(f"the broker {what}{cause}", fix=f"see {self.log_path}")


def _answers(admin: AdminClient) -> bool:
    """Tell whether the broker answers a metadata request now."""
    try:
        return bool(admin.list_topics(timeout=PROBE_TIMEOUT_SECONDS).brokers)
    except KafkaException:
        return False
