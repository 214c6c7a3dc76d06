"""`tenminute engine`: one keeper and N workers as processes of their own, watched from here.

The children's metrics are merged and served on one port, with three probes:
`/startupz` every process has come up once, `/readyz` store caught up and every
worker holding its partitions with their ledgers, `/livez` every process alive
and going round its loop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from stream.config import Settings, as_environment
from stream.edge.signals import WATCH_PARENT, Stop, stop_event
from stream.errors import ConfigError, Exit
from stream.limits import LEAVE_SECONDS_MAX, REAP_SECONDS
from stream.obs.health import STALLED_SECONDS, Health, read_health
from stream.obs.logs import configure_logs

METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
RESTARTS_MAX = 5
RESTART_WINDOW_SECONDS = 60.0
"""More than five ends of one process within a minute is a fault a restart does not mend."""
_ENDED_AS_TOLD = (Exit.OK, -signal.SIGTERM)
"""The second is of a process so young that it does not listen to signals yet."""
_KILLED = (
    "nothing is lost or doubled; start it again. Which call hung, its last log line says: see the "
    "runbook, 'a worker that had to be killed'"
)


class Supervisor:
    """Starts, watches, restarts and drains the processes of one engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log: structlog.typing.FilteringBoundLogger = configure_logs(
            "supervisor", as_json=settings.log_json
        )
        self._metrics_dir = settings.state_dir / "metrics"
        for folder in (self._metrics_dir, settings.health_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._environment = {
            **os.environ,
            METRICS_DIR: str(self._metrics_dir),
            WATCH_PARENT: "1",
            **as_environment(settings),
        }
        names = ["keeper", *(f"worker-{index}" for index in range(settings.workers))]
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: dict[str, list[float]] = {name: [] for name in names}
        self._failed: int | None = None

    def run(self) -> int:
        """Run until a signal or a fault; the exit code of the command."""
        stop = stop_event(LEAVE_SECONDS_MAX - REAP_SECONDS)
        server = self._serve()
        try:
            self._start("keeper")
            while not stop.wait(0.1) and self._failed is None:
                self._watch()
                self._start_workers()
        finally:
            stop.set()
            self._drain(stop)
            server.shutdown()
        return Exit.OK if self._failed is None else self._failed

    def _said(self) -> dict[str, Health]:
        """The last word of every process that runs; a dead one's word no longer counts."""
        running = {name: c.pid for name, c in self._children.items() if c.poll() is None}
        said = read_health(self._settings.health_dir)
        return {
            health.process: health for health in said if running.get(health.process) == health.pid
        }

    def report(self) -> dict[str, object]:
        """What `/readyz` shows of every process."""
        said = self._said()
        now = time.time()
        return {
            name: {
                "state": said[name].state if name in said else "starting",
                "ready": name in said and said[name].ready,
                "progress_seconds_ago": round(now - said[name].progress_at, 1)
                if name in said
                else None,
                "detail": said[name].detail if name in said else "",
            }
            for name in self._ends
        }

    def probe(self, path: str, of: Iterable[str] | None = None) -> bool | None:
        """Answer of a probe, over all processes or those named; None for a path that is none."""
        said, names = self._said(), of or self._ends
        if path == "/livez":
            oldest = time.time() - STALLED_SECONDS
            alive = all(child.poll() is None for child in self._children.values())
            return alive and all(health.progress_at > oldest for health in said.values())
        if path == "/startupz":
            return all(name in said and said[name].state != "starting" for name in names)
        if path == "/readyz":
            return all(name in said and said[name].ready for name in names)
        return None

    def metrics(self) -> bytes:
        """The merged metrics of all processes, in Prometheus' text format."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._metrics_dir))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _start(self, name: str) -> None:
        verb = ["keeper"] if name == "keeper" else ["worker", name.removeprefix("worker-")]
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", "stream.edge.processes", *verb],
            env=self._environment,
            stdin=subprocess.PIPE,
            # A Ctrl-C in the terminal reaches the supervisor alone, which then drains in order.
            start_new_session=True,
        )

    def _start_workers(self) -> None:
        """Start the workers once the keeper has opened, or rebuilt, the store they read."""
        if len(self._children) == 1 and self.probe("/startupz", ["keeper"]):
            for name in self._ends:
                if name != "keeper":
                    self._start(name)
            self._log.info("engine_started", workers=self._settings.workers)

    def _watch(self) -> None:
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            mark_process_dead(child.pid, path=str(self._metrics_dir))  # type: ignore[no-untyped-call]
            now = time.monotonic()
            recent = [at for at in self._ends[name] if now - at < RESTART_WINDOW_SECONDS]
            self._ends[name] = [*recent, now]
            self._log.warning("process_ended", name=name, code=code, recent=len(recent))
            if code in {Exit.CONFIG, Exit.MODEL} or len(recent) >= RESTARTS_MAX:
                self._failed = code if code > 0 else Exit.FAILED
                return
            self._start(name)

    def _drain(self, stop: Stop) -> None:
        """Workers first, then the keeper; whoever outlasts the bound is killed, and that is said.

        Then, and when one that was told to stop fails in it, the engine has failed too.
        """
        running = {name: child for name, child in self._children.items() if child.poll() is None}
        for name in sorted(running, reverse=True):
            running[name].terminate()
        for name, child in running.items():
            try:
                code = child.wait(max(0.0, stop.left()))
            except subprocess.TimeoutExpired:
                self._log.error("process_killed", name=name, fix=_KILLED)
                child.kill()
                code = child.wait()
            if code not in _ENDED_AS_TOLD and self._failed is None:
                self._failed = code if code > 0 else Exit.FAILED
        for child in self._children.values():
            if child.stdin:
                child.stdin.close()

    def _serve(self) -> ThreadingHTTPServer:
        supervisor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, supervisor.metrics())
                    return
                verdict = supervisor.probe(self.path)
                code = 404 if verdict is None else 200 if verdict else 503
                body = json.dumps({"ok": bool(verdict), "processes": supervisor.report()})
                self._answer(code, "application/json", body.encode())

            def _answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Probes and scrapes are not worth a line each."""

        address = (self._settings.metrics_host, self._settings.metrics_port)
        try:
            server = ThreadingHTTPServer(address, Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror}",
                fix="free the port or set metrics_port",
            ) from None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._log.info("serving", port=server.server_address[1])
        return server
