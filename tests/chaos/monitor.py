"""Watches committed decisions arrive, from outside, and says how long each recovery took."""

from __future__ import annotations

import bisect
import math
import time
from threading import Event, Thread

from chaos.faults import Faults
from chaos.reading import ends, looker
from confluent_kafka import TopicPartition

from stream.domain.topics import APPLICATIONS, DECISIONS


class Monitor:
    """Arrival times of committed decisions by partition, and the last application of each."""

    def __init__(self, bootstrap: str, since: dict[str, dict[int, int]] | None = None) -> None:
        """Look from `since` on, or from now."""
        self.since = since or ends(bootstrap)
        self.arrivals: dict[int, list[float]] = {p: [] for p in self.since[DECISIONS]}
        self.applications = 0
        self.last: dict[int, int] = dict.fromkeys(self.since[APPLICATIONS], -1)
        self._heard_at = time.monotonic()
        self._client = looker(bootstrap, **{"isolation.level": "read_committed"})
        self._client.assign(
            [
                TopicPartition(topic, partition, offset)
                for topic in (APPLICATIONS, DECISIONS)
                for partition, offset in self.since[topic].items()
            ]
        )
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        return time.monotonic() - self._heard_at

    @property
    def decisions(self) -> int:
        """Committed decisions seen so far."""
        return sum(map(len, self.arrivals.values()))

    def rate(self) -> str:
        """How fast decisions came, from the first to the last."""
        if not self.decisions:
            return "nothing decided"
        seconds = max(t[-1] for t in self.arrivals.values() if t) - min(
            t[0] for t in self.arrivals.values() if t
        )
        rate = self.decisions / max(seconds, 1e-3)
        return f"{self.decisions:,} decided in {seconds:.0f} s: {rate:,.0f} a second"

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def recoveries(self, struck: list[float], faults: Faults) -> list[float]:
        """Per fault, seconds until the slowest partition had a new committed decision.

        Stricter than the first decision anywhere: the other worker's would be there at once. A
        partition without a later decision has no time; `faults` is told how many had none. Nor has
        a fault whose recovery had not ended when the next one struck: it would measure that one.
        """
        found = []
        every = sorted({*struck, *(at for each in faults.at.values() for at in each)})
        for at in struck:
            firsts = []
            for times in self.arrivals.values():
                index = bisect.bisect_right(times, at)
                if index < len(times):
                    firsts.append(times[index] - at)
            faults.looked += len(self.arrivals)
            faults.unheard += len(self.arrivals) - len(firsts)
            following = next((other for other in every if other > at), math.inf)
            if firsts and at + max(firsts) > following:
                faults.overtaken += 1
            elif firsts:
                found.append(max(firsts))
        return found

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._client.consume(2_000, 0.05):
                if message.error() is not None:
                    continue
                self._heard_at = now = time.monotonic()
                partition = message.partition()
                if message.topic() == DECISIONS:
                    self.arrivals[partition].append(now)
                else:
                    self.applications += 1
                    self.last[partition] = message.offset()
