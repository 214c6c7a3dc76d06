"""Commits beside the loop: in order, their errors handed over, and none waited for without end."""

from __future__ import annotations

import math
import threading
import time

import pytest

from stream.edge.lane import ThreadLane
from stream.edge.outlet import KafkaOutlet
from stream.edge.signals import Stop, no_hurry
from stream.errors import Remedy, TransactionError
from stream.limits import COMMIT_SECONDS_MAX, STUCK_SECONDS
from stream.ports import Identity, Place


def test_commits_run_in_the_order_given_beside_the_loop() -> None:
    """What is submitted first ends first, on another thread than the caller's."""
    lane, seen = ThreadLane(), []
    commits = [lane.submit(lambda n=n: seen.append((n, threading.get_ident()))) for n in range(20)]
    for commit in commits:
        commit.wait()
    assert list(range(20)) == [number for number, _ in seen]
    assert threading.get_ident() not in {thread for _, thread in seen}


def test_a_commit_that_failed_raises_what_it_raised_where_it_is_waited_for() -> None:
    """Also a time-out of its own is handed over as it is, and the next commit runs."""
    lane = ThreadLane()

    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        lane.submit(fail).wait()
    lane.submit(lambda: None).wait()


def test_a_commit_that_hangs_is_left_behind_and_the_next_one_runs() -> None:
    """The wait ends with the remedy of an unknown outcome; a new thread takes what follows."""
    lane = ThreadLane(commit_seconds=0.1 - STUCK_SECONDS)
    released = threading.Event()
    hanging = lane.submit(lambda: assert_released(released))
    with pytest.raises(TransactionError) as caught:
        hanging.wait()
    assert caught.value.remedy is Remedy.RECREATE
    assert caught.value.cause == "commit_stuck"
    done = threading.Event()
    lane.submit(done.set)
    assert done.wait(60)
    released.set()


def test_a_commit_is_waited_for_no_longer_than_is_left() -> None:
    """A signal that comes during the wait shortens it to the one deadline of going."""
    stop, released = Stop(seconds=0.2), threading.Event()
    lane = ThreadLane(left=stop.left)
    hanging = lane.submit(lambda: assert_released(released))
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(TransactionError, match="commit_stuck"):
        hanging.wait()
    assert time.monotonic() - began < COMMIT_SECONDS_MAX
    released.set()


def test_being_told_to_stop_again_gives_no_more_time() -> None:
    """A second signal while draining changes nothing."""
    stop = Stop(seconds=5.0)
    assert stop.left() == math.inf
    stop.set()
    first = stop._by
    stop.set()
    assert first == stop._by
    assert stop.left() <= 5.0


def assert_released(released: threading.Event) -> None:
    """Hang until the test lets go."""
    assert released.wait(60)


class LateClient:
    """A client whose call with the offsets outlasts every bound; it must not be asked to commit."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def send_offsets_to_transaction(self, *_: object) -> None:
        """Return at last."""
        self.called.append("offsets")

    def commit_transaction(self, *_: object) -> None:
        """What nobody waits for any more."""
        self.called.append("commit")

    def poll(self, _seconds: float) -> int:
        """No events."""
        return 0


def test_a_commit_that_wakes_after_it_was_left_behind_asks_for_no_end() -> None:
    """Offsets sent beyond the bound and its grace are not followed by the commit."""
    client = LateClient()
    outlet = KafkaOutlet.__new__(KafkaOutlet)
    outlet._client = client  # type: ignore[assignment]
    outlet._commit_seconds = -STUCK_SECONDS - 1.0
    outlet._left = no_hurry
    with pytest.raises(TransactionError, match="commit_stuck"):
        outlet.commit({Place("loan.applications", 0): 1}, Identity("member", object()))
    assert client.called == ["offsets"]
