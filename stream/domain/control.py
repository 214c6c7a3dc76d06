"""What an operator may command of a running engine, and what is in force.

A command acts on one switch: a stop of everything, a segment, a channel or a
model, the breaker limits or the guard of a segment, or an alias of a model. The
newest command of a switch is in force, by the time it was issued and then by its
place on `decision.control`, so the order in which commands are read changes nothing.
What lets a model decide must follow from the champion in force (`Switches.unfit`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from stream.domain.application import Channel, Fen, Id, Instant, Segment
from stream.domain.instant import to_ms
from stream.domain.lineup import Alias, Aliases, ModelChange

EVERYTHING: Final = "all"
"""The name of the one switch of the scope `everything`."""

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Action(StrEnum):
    """What a command does to its switch."""

    STOP = "stop"
    RESUME = "resume"
    LIMITS = "limits"
    TIGHTEN = "tighten"
    MODEL = "model"


class Scope(StrEnum):
    """What kind of thing a command is about; the order is that in which stops are named."""

    EVERYTHING = "everything"
    SEGMENT = "segment"
    CHANNEL = "channel"
    MODEL = "model"


class Limits(NamedTuple):
    """Breaker limits of a segment in all partitions together; None is the policy's own."""

    approvals_max: int | None
    amount_max_fen: int | None
    command_id: str | None = None
    """The command that set them."""


class Raised(NamedTuple):
    """A cut-off so many points above the policy's, and the command that put it there."""

    points: int
    command_id: str


class Command(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One command; `limits` or `tighten` with nothing else gives a segment back to the policy."""

    command_id: Id
    action: Action
    scope: Scope
    name: str
    reason: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}\Z")]
    issued_at: Instant
    issued_by: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")]
    approvals_max: Annotated[int, Meta(ge=0, le=10_000_000_000)] | None = None
    amount_max_fen: Fen | None = None
    model: ModelChange | None = None
    raise_points: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    refer_all: bool = False

    def __post_init__(self) -> None:
        """ValueError for a name outside its scope, limits out of place or an instant that is none.

        A reader must not meet any of these later, where a stop depends on it.
        """
        to_ms(self.issued_at)
        if not _named(self.scope, self.name):
            raise ValueError(f"name is no {self.scope.value}")
        given = (self.approvals_max, self.amount_max_fen) != (None, None)
        if self.action is Action.LIMITS and self.scope is not Scope.SEGMENT:
            raise ValueError("limits are of a segment")
        if given and self.action is not Action.LIMITS:
            raise ValueError(f"{self.action.value} carries no limits")
        if (self.action is Action.MODEL) != (self.model is not None):
            raise ValueError("model, and no other action, says which version is meant")
        if self.action is Action.MODEL and self.scope is not Scope.MODEL:
            raise ValueError("an alias is of a model")
        if self.action is Action.TIGHTEN and self.scope is not Scope.SEGMENT:
            raise ValueError("a segment is tightened")
        if (self.raise_points is not None or self.refer_all) and self.action is not Action.TIGHTEN:
            raise ValueError(f"{self.action.value} tightens nothing")
        if self.raise_points is not None and self.refer_all:
            raise ValueError("where all is referred no cut-off counts")

    @property
    def key(self) -> str:
        """The switch: compaction keeps the newest command of each."""
        if self.action is Action.LIMITS:
            return f"breaker/{self.scope.value}/{self.name}"
        if self.action is Action.TIGHTEN:
            return f"guard/{self.scope.value}/{self.name}"
        if self.model is not None:
            return _alias_key(self.model.alias, self.name)
        return f"switch/{self.scope.value}/{self.name}"

    @property
    def signatures(self) -> int:
        """How many different keys must sign it."""
        return self.model.signatures if self.model is not None else 1

    @property
    def guard_may_give(self) -> bool:
        """Whether a guard's key is enough: it tightens or eases, or ends a challenger's trial."""
        ends = self.model is not None and self.model.alias is Alias.CHALLENGER
        return self.action is Action.TIGHTEN or (ends and self.signatures == 1)

    def covers(self, segment: str, channel: str, model_id: str) -> bool:
        """Whether an application of this segment, channel and model is within the scope."""
        return {
            Scope.EVERYTHING: True,
            Scope.SEGMENT: self.name == segment,
            Scope.CHANNEL: self.name == channel,
            Scope.MODEL: self.name == model_id,
        }[self.scope]


class Placed(NamedTuple):
    """A command and its offset on the topic."""

    command: Command
    offset: int

    @property
    def rank(self) -> tuple[int, int]:
        """The higher of two commands of one switch is in force."""
        return to_ms(self.command.issued_at), self.offset


class Switches(Struct, frozen=True):
    """What is in force after the commands read so far; a new value for every command."""

    version: int = -1
    """The highest offset read."""
    in_force: dict[str, Placed] = {}
    stops: dict[tuple[str, str], str] = {}
    """Command id of the stop, by scope and name; the guard's are under `guard`."""
    raises: dict[str, Raised] = {}
    """Cut-offs above the policy's, by segment."""

    def with_command(self, command: Command, offset: int) -> Switches:
        """These switches and one more command; an older one than that in force is ignored."""
        placed, key = Placed(command, offset), command.key
        version = max(self.version, offset)
        standing = self.in_force.get(key)
        if standing is not None and standing.rank >= placed.rank:
            return Switches(version, self.in_force, self.stops, self.raises)
        in_force = {**self.in_force, key: placed}
        stops = {
            ("guard" if each.refer_all else each.scope.value, each.name): each.command_id
            for each, _ in in_force.values()
            if each.action is Action.STOP or each.refer_all
        }
        raises = {
            each.name: Raised(each.raise_points, each.command_id)
            for each, _ in in_force.values()
            if each.raise_points
        }
        return Switches(version, in_force, stops, raises)

    def holds(self, offset: int) -> bool:
        """Whether the command at this offset is the newest of its switch."""
        return any(placed.offset == offset for placed in self.in_force.values())

    def stopped(self, segment: str, channel: str, model_id: str) -> str | None:
        """Id of the command that stops such an application, the widest first; None when none."""
        stops = self.stops
        if not stops:
            return None
        return (
            stops.get(("everything", EVERYTHING))
            or stops.get(("segment", segment))
            or stops.get(("channel", channel))
            or stops.get(("model", model_id))
            or stops.get(("guard", segment))
        )

    def raised(self, segment: str) -> Raised | None:
        """By how much the cut-off of a segment stands above the policy's; None where it does not.

        A segment that is referred whole is stopped instead.
        """
        return self.raises.get(segment)

    def limits(self, segment: str) -> Limits | None:
        """The commanded breaker limits of a segment; None when the policy's hold."""
        standing = self.in_force.get(f"breaker/segment/{segment}")
        if standing is None:
            return None
        command = standing.command
        if command.approvals_max is None and command.amount_max_fen is None:
            return None
        return Limits(command.approvals_max, command.amount_max_fen, command.command_id)

    def places(self, model_id: str) -> dict[Alias, Placed]:
        """The commands that say who stands where; a new champion ends the trial before it."""
        found = {alias: self.in_force.get(_alias_key(alias, model_id)) for alias in Alias}
        leads, tried = found[Alias.CHAMPION], found[Alias.CHALLENGER]
        if leads is not None and tried is not None and tried.rank < leads.rank:
            del found[Alias.CHALLENGER]
        return {alias: placed for alias, placed in found.items() if placed is not None}

    def aliases(self, model_id: str) -> Aliases:
        """What commands have said of a model's places."""
        standing = self.places(model_id)
        return Aliases(*(standing[a].command.model if a in standing else None for a in Alias))

    def unfit(self, placed: Placed) -> str | None:
        """Why a model's command does not follow from what is in force; None where it does.

        To be asked of each command in the order of the topic, and what it refuses left
        out: then all readers, whenever they begin, agree. The first champion commanded
        is taken at its word about whom it replaces.
        """
        command, change = placed.command, placed.command.model
        leads = self.in_force.get(_alias_key(Alias.CHAMPION, command.name))
        if change is None or not change.decides or leads is None or leads.command.model is None:
            return None
        if placed.rank < leads.rank:
            return "a newer command on the champion is in force"
        stands, again = leads.command.model.pin, change.alias is Alias.CHAMPION
        again = again and (change.pin, change.replaced) == (stands, leads.command.model.replaced)
        if change.replaced != stands and not again:
            return (
                f"given when {change.replaces} was champion; now it is {stands.version}"
                if change.replaces != stands.version
                else f"given over another release of {stands.version} than the one in force"
            )
        return None


class AckResult(StrEnum):
    """What a worker did with a command."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


class Acknowledgement(Struct, frozen=True, omit_defaults=True):
    """A worker's word on one record of `decision.control`.

    `last_affected_decided_at` is the worker's latest decision within the
    command's scope before it applied the command.
    """

    worker: str
    control_offset: int
    result: AckResult
    applied_at: str
    command_id: str | None = None
    last_affected_decided_at: str | None = None
    why: str | None = None


def _alias_key(alias: Alias, model_id: str) -> str:
    return f"model/{alias.value}/{model_id}"


def _named(scope: Scope, name: str) -> bool:
    if scope is Scope.EVERYTHING:
        return name == EVERYTHING
    if scope is Scope.MODEL:
        return _MODEL_NAME.match(name) is not None
    return name in {each.value for each in (Segment if scope is Scope.SEGMENT else Channel)}
