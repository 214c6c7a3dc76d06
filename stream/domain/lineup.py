"""Which models stand where for one kind of customer: who decides, who is tried, who only watches.

The champion decides. A challenger decides for a share of the applicants, drawn
by a salted hash of the applicant, so that one person is always in one arm. A
shadow scores everything and decides nothing. An operator's command gives an alias
to a version; who may, and with how many signatures, is said here.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

BUCKETS: Final = 10_000
"""A share is given in basis points: one bucket each."""
SHARE_BPS_MAX: Final = 5_000
"""A challenger decides for half of the applicants at most; beyond that, promote it."""

_NUMBER = "(0|[1-9][0-9]{0,5})"
Version = Annotated[str, Meta(pattern=rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}\Z")]
"""One spelling each: 01.2.0 would pass for another version than 1.2.0, and for no older one."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Salt = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class Alias(StrEnum):
    """The places a version of a model may stand in."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"


class Pin(NamedTuple):
    """Exactly one release: its version, and the hash of its manifest."""

    version: str
    manifest_sha256: str


class ModelChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An alias of a model for one version of it; without a version the place is empty from now on.

    `manifest_sha256` pins the very release that was looked at. `replaces` is the
    champion that stood when the command was given, pinned in the same way: whom a new
    champion follows, and whose applicants a challenger takes. Where another one stands the
    command is refused; a worker that starts and cannot have the new champion takes that one.
    """

    alias: Alias
    version: Version | None = None
    manifest_sha256: Sha256 | None = None
    share_bps: Annotated[int, Meta(ge=1, le=SHARE_BPS_MAX)] | None = None
    salt: Salt | None = None
    replaces: Version | None = None
    replaces_sha256: Sha256 | None = None
    rollback: bool = False

    def __post_init__(self) -> None:
        """ValueError for parts that do not belong to the alias, or lack."""
        if (self.version is None) != (self.manifest_sha256 is None):
            raise ValueError("a version and its manifest's hash go together")
        tried = self.alias is Alias.CHALLENGER and self.version is not None
        if tried != (self.share_bps is not None) or tried != (self.salt is not None):
            raise ValueError("a challenger, and nobody else, has a share and a salt")
        if self.alias is Alias.CHAMPION and self.version is None:
            raise ValueError("a champion has a version")
        self._check_replaced()

    def _check_replaced(self) -> None:
        """ValueError unless who gets to decide names whom it replaces and is no older unasked."""
        named = self.replaces is not None, self.replaces_sha256 is not None
        if named != (self.decides, self.decides):
            raise ValueError("who gets to decide, and nobody else, names the champion it replaces")
        if self.replaces is None or self.version is None:
            if self.rollback:
                raise ValueError("only who gets to decide goes back")
            return
        if order(self.version) < order(self.replaces) and not self.rollback:
            raise ValueError("an older version than it replaces is a rollback")
        if self.version == self.replaces and self.manifest_sha256 != self.replaces_sha256:
            raise ValueError("a version has one content")
        if self.rollback and order(self.version) >= order(self.replaces):
            raise ValueError("a rollback is to an older version")

    @property
    def decides(self) -> bool:
        """Whether a version gets to decide by this, for all applicants or for some."""
        return self.alias is not Alias.SHADOW and self.version is not None

    @property
    def pin(self) -> Pin:
        """The release that it puts into the place."""
        return Pin(self.version or "", self.manifest_sha256 or "")

    @property
    def replaced(self) -> Pin:
        """The champion that stood when it was given."""
        return Pin(self.replaces or "", self.replaces_sha256 or "")

    @property
    def signatures(self) -> int:
        """How many different keys must sign: two where a model gets to decide."""
        return 2 if self.decides else 1


class Aliases(NamedTuple):
    """What commands have put into the places of one model; None where nobody said anything."""

    champion: ModelChange | None = None
    challenger: ModelChange | None = None
    shadow: ModelChange | None = None


def order(version: str) -> tuple[int, ...]:
    """Sorts versions: 1.10.0 after 1.9.0."""
    return tuple(map(int, version.split(".")))


def bucket(salt: str, applicant_token: str) -> int:
    """The applicant's bucket, 0 to 9,999: the first 64 bits of SHA-256 over salt and token.

    64 bits over 10,000 buckets leave a bias below 10^-15.
    """
    digest = hashlib.sha256(f"{salt}/{applicant_token}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
