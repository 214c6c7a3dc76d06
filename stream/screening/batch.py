"""One batch of profile records: what it changes on the list, and what is said about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from stream.errors import PoisonError
from stream.screening.decode import take
from stream.screening.offers import DAY_MS
from stream.screening.screen import Screening, Verdicts


class Held(NamedTuple):
    """The fingerprint of an offer that stands, and the end of its validity."""

    fingerprint: int
    valid_to_ms: int


Look = Callable[[Sequence[bytes]], Sequence[Held | None]]
_encoder = msgspec.json.Encoder()


class Change(NamedTuple):
    """One record for the list: an entry, or None where the person comes off it, with why."""

    key: bytes
    value: bytes | None
    held: Held | None
    reason: str


class Outcome(NamedTuple):
    """What a batch came to; `bad` names places in it."""

    changes: list[Change]
    bad: list[tuple[int, PoisonError]]
    counts: Counter[str]


def screen_batch(
    screening: Screening,
    records: Sequence[tuple[bytes | None, bytes | None]],
    look: Look,
    now_ms: int,
) -> Outcome:
    """Screen the last word on each person in `records`; a pure function of its arguments."""
    latest, bad, unreadable = take(records)
    profiles = [profile for profile in latest.values() if profile is not None]
    gone = [key for key, profile in latest.items() if profile is None]
    held = dict(zip(latest, look(list(latest)), strict=True))
    outcome = Outcome([], bad, Counter(records=len(records), bad=len(bad), people=len(latest)))
    for verdicts in screening.screen(profiles, now_ms):
        _of_segment(screening, verdicts, held, outcome, now_ms)
    for key in gone:
        if held[key] is not None:
            # No offer refers; one from figures nobody can read any more might approve.
            reason = "profile_unreadable" if key in unreadable else "profile_deleted"
            outcome.changes.append(Change(key, None, None, reason))
            outcome.counts["removed"] += 1
    return outcome


def _of_segment(
    screening: Screening,
    verdicts: Verdicts,
    held: dict[bytes, Held | None],
    outcome: Outcome,
    now_ms: int,
) -> None:
    renew_ms = now_ms + screening.policy.renew_days * DAY_MS
    valid_to_ms = now_ms - now_ms % DAY_MS + screening.policy.validity_days * DAY_MS
    changes, counts = outcome.changes, outcome.counts
    counts.update(f"reason:{reason}" for reason in verdicts.reasons if reason)
    for index, (profile, found) in enumerate(
        zip(verdicts.profiles, verdicts.fingerprints, strict=True)
    ):
        key = profile.applicant_token.encode()
        standing = held[key]
        if found == 0:
            if standing is not None:
                changes.append(Change(key, None, None, verdicts.reasons[index]))
                counts["removed"] += 1
            continue
        counts["listed"] += 1
        if (
            standing is not None
            and standing.fingerprint == found
            and standing.valid_to_ms > renew_ms
        ):
            counts["unchanged"] += 1
            continue
        value = _encoder.encode(screening.entry(verdicts, index, now_ms))
        changes.append(Change(key, value, Held(found, valid_to_ms), ""))
        counts["upserted"] += 1
