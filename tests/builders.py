"""Sound records of one person, whole or with a part laid over, and views held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from policy_cases import SOUND, TOKEN, merged

from stream.codec.keys import partition_of
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Switches
from stream.domain.instant import to_ms
from stream.domain.topics import APPLICATIONS
from stream.domain.whitelist import WhitelistEntry
from stream.pipeline import Circumstances
from stream.ports import Record, Views

NO_SWITCHES = Switches()
NOW_MS = to_ms(SOUND["now"])
HEADERS: tuple[tuple[str, bytes], ...] = (("schema_version", b"1"),)
_SOUND_BUREAU = {**SOUND["bureau"], "inquiries_12m": 0, "open_installment_count": 3}


def token(number: int) -> str:
    """The applicant token of a made-up person."""
    return f"a1_{number:032x}"


def application(**changes: Any) -> dict[str, Any]:
    """The sound application as a document, with `changes` laid over it."""
    return merged(SOUND["application"], changes)


def application_bytes(**changes: Any) -> bytes:
    """The same as the bytes a channel would publish."""
    return msgspec.json.encode(application(**changes))


def raw(
    value: bytes | None,
    *,
    key: bytes | None = TOKEN.encode(),
    headers: Sequence[tuple[str, str | bytes | None]] = HEADERS,
    partition: int = 0,
    offset: int = 0,
) -> Record:
    """A polled record around any bytes at all."""
    return Record(APPLICATIONS, partition, offset, key, value, headers, NOW_MS)


def record(*, partition: int = 0, offset: int = 0, **changes: Any) -> Record:
    """A polled application, keyed by its own applicant token."""
    app = application(**changes)
    key = str(app["applicant_token"]).encode()
    return raw(msgspec.json.encode(app), key=key, partition=partition, offset=offset)


def entry(**changes: Any) -> WhitelistEntry:
    """The sound offer, with `changes` laid over it."""
    return msgspec.convert(merged(SOUND["offer"], changes), WhitelistEntry)


def bureau(**changes: Any) -> BureauFeatures:
    """The sound bureau view, complete for every model, with `changes` laid over it."""
    return msgspec.convert(merged(_SOUND_BUREAU, changes), BureauFeatures)


def at_home(polled: Record, partitions: int) -> Record:
    """The record on the partition of its key, as a channel that keeps the contract sends it."""
    if polled.key is None:
        return polled
    return polled._replace(partition=partition_of(polled.key, partitions))


def under(
    views: Views, now_ms: int = NOW_MS, *, partitions: int = 1, switches: Switches = NO_SWITCHES
) -> Circumstances:
    """What a batch is decided under; with one partition every key is at home."""
    return Circumstances(now_ms, views, switches, partitions)


class FakeViews:
    """Offers and bureau views in two dicts; `fresh_at_ms` is the sound moment unless given."""

    def __init__(
        self,
        *held: WhitelistEntry | BureauFeatures,
        fresh_at_ms: int = NOW_MS,
    ) -> None:
        self.fresh_at_ms = fresh_at_ms
        self._whitelist = {e.applicant_token: e for e in held if isinstance(e, WhitelistEntry)}
        self._bureau = {b.applicant_token: b for b in held if isinstance(b, BureauFeatures)}

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        return self._whitelist.get(applicant_token)

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        return self._bureau.get(applicant_token)
