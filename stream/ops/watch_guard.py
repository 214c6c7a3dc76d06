"""The guard's hand: what is in force for each segment, and the commands that change it.

The state is the command in force on `decision.control` and is kept nowhere else. So
a watch that has lost its book, or comes back after another has acted, goes on from
what the workers really do.
"""

from __future__ import annotations

import time
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.control_v1 import CommandRefusedError, decode_command
from stream.codec.signatures import key_id
from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.control import Action, Scope, Switches
from stream.domain.topics import CONTROL
from stream.edge.clients import record_of
from stream.edge.key_pairs import command_keys
from stream.ops.control import make_command, publish, read_all
from stream.watch.guard import GuardState

LOOK_SECONDS: Final = 30.0
"""How old the knowledge of what is in force may be while nothing is to be changed."""
ISSUER: Final = "watch"


class GuardHand:
    """What is in force, read now and then and before every command."""

    def __init__(self, settings: Settings, private: Ed25519PrivateKey | None) -> None:
        """The own key is trusted like the configured ones."""
        self._settings, self._private = settings, private
        self._trusted, self._guards = command_keys(settings)
        if private is not None:
            self._trusted = {**self._trusted, key_id(private.public_key()): private.public_key()}
        self._switches = Switches()
        self._looked_at: float | None = None

    @property
    def may_order(self) -> bool:
        """Whether there is a key to sign with."""
        return self._private is not None

    @property
    def states(self) -> dict[Segment, GuardState]:
        """The state in force of each segment, as last looked at."""
        return {segment: self._state(segment) for segment in Segment}

    def look(self, *, now: bool = False) -> None:
        """Read what is in force, unless that has just been done."""
        at = time.monotonic()
        if not now and self._looked_at is not None and at - self._looked_at < LOOK_SECONDS:
            return
        switches = Switches()
        for message in read_all(self._settings, CONTROL):
            try:
                command = decode_command(record_of(message), self._trusted, self._guards)
            except CommandRefusedError:
                continue  # workers count and report those
            switches = switches.with_command(command, message.offset() or 0)
        self._switches, self._looked_at = switches, at

    def order(self, segment: Segment, due: GuardState, raise_points: int, words: str) -> None:
        """Publish the command for a state, unless it is in force by now."""
        self.look(now=True)
        if self._private is None or self._state(segment) is due:
            return
        facts = {
            "action": Action.TIGHTEN,
            "scope": Scope.SEGMENT,
            "name": segment.value,
            "reason": words,
            "raise_points": raise_points if due is GuardState.TIGHTENED else None,
            "refer_all": due is GuardState.REFER_ALL,
        }
        command = make_command(facts, self._switches, ISSUER)
        offset = publish(self._settings, command, self._private)
        self._switches = self._switches.with_command(command, offset)

    def _state(self, segment: Segment) -> GuardState:
        if ("guard", segment.value) in self._switches.stops:
            return GuardState.REFER_ALL
        raised = self._switches.raised(segment.value)
        return GuardState.NORMAL if raised is None else GuardState.TIGHTENED
