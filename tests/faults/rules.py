"""What the fault proxy does to which call: an action, when it strikes, and what it has counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from faults.wire import CAN_FAIL, Api, Request

Trigger = Callable[[int], bool]
"""Given the number of a matching call, from 1 on, whether to strike."""


def once() -> Trigger:
    """The first matching call."""
    return nth(1)


def nth(number: int) -> Trigger:
    """The n-th matching call only."""
    return lambda seen: seen == number


def times(count: int) -> Trigger:
    """The first `count` matching calls."""
    return lambda seen: seen <= count


def every(step: int = 1) -> Trigger:
    """Each matching call, or each `step`-th."""
    return lambda seen: seen % step == 0


@dataclass(frozen=True)
class Action:
    """What happens to one request and its answer; made by the functions below."""

    forward: bool = True
    answer: bool = True
    error: int | None = None
    request_delay: float = 0.0
    answer_delay: float = 0.0
    close_on_request: bool = False
    close_on_answer: bool = False


def lose_answer() -> Action:
    """The broker does it and answers; the client sees its connection break instead."""
    return Action(answer=False, close_on_answer=True)


def swallow_answer() -> Action:
    """The broker does it; the client waits for ever on a live connection."""
    return Action(answer=False)


def swallow_request() -> Action:
    """The broker never sees it; the client waits for ever on a live connection."""
    return Action(forward=False, answer=False)


def delay_request(seconds: float) -> Action:
    """It reaches the broker late, whatever the client does meanwhile."""
    return Action(request_delay=seconds)


def delay_answer(seconds: float) -> Action:
    """The broker does it at once; the client learns it late."""
    return Action(answer_delay=seconds)


def break_before() -> Action:
    """The connection breaks and the broker never sees it."""
    return Action(forward=False, answer=False, close_on_request=True)


def break_after() -> Action:
    """The connection breaks at once, the request is on its way."""
    return Action(answer=False, close_on_request=True)


def stray(seconds: float) -> Action:
    """The connection breaks at once, and the request reaches the broker late: a lost packet."""
    return Action(answer=False, close_on_request=True, request_delay=seconds)


def error_instead(code: int) -> Action:
    """The broker never sees it; the client is told `code`."""
    return Action(forward=False, error=code)


def error_after(code: int) -> Action:
    """The broker does it; the client is told `code` all the same."""
    return Action(error=code)


@dataclass
class Rule:
    """An action for the calls of one kind; `seen` and `done` count, `strikes` are their times."""

    api: Api
    action: Action
    strikes_at: Trigger
    client: str = ""
    seen: int = 0
    done: int = 0
    strikes: list[float] = field(default_factory=list)
    _struck: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        """Refuse an error for an answer the proxy cannot write."""
        if self.action.error is not None and self.api not in CAN_FAIL:
            raise ValueError(f"no error can be put into the answer to {self.api.name}")

    def take(self, request: Request) -> Action | None:
        """Count the request if it is of this rule's kind; its action when it is struck."""
        if request.api != self.api or self.client not in request.client:
            return None
        self.seen += 1
        if not self.strikes_at(self.seen):
            return None
        with self._struck:
            self.done += 1
            self.strikes.append(time.monotonic())
            self._struck.notify_all()
        return self.action

    def await_strikes(self, count: int = 1, seconds: float = 30.0) -> None:
        """Return once it has struck `count` times; AssertionError when it has not in time."""
        with self._struck:
            struck = self._struck.wait_for(lambda: self.done >= count, seconds)
        assert struck, f"{self.api.name} was struck {self.done} times of {count}, seen {self.seen}"
