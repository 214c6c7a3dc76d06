"""What `tenminute doctor` says of keys and commands: who is trusted, what is sealed, what holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stream.config import Settings
from stream.domain.topics import ACKS, CONTROL
from stream.edge.clients import require_topic
from stream.edge.key_pairs import OPERATOR
from stream.edge.letter_keys import read_sealer, read_sealers
from stream.ops import control
from stream.ops.control_show import in_words, rows_of


class Remark(NamedTuple):
    """What is so, and what would make it better, if anything."""

    detail: str
    fix: str = ""


def control_keys(settings: Settings) -> Iterator[Remark]:
    """The public keys whose commands count; ConfigError names a file that holds none."""
    trusted = OPERATOR.read_public(settings.control_key_files)
    if trusted:
        yield Remark(f"commands count under {', '.join(sorted(trusted))}")
    else:
        fix = "tenminute control keygen DIR, then set `control_key_files` on every engine"
        yield Remark("not set: no command can stop approvals", fix)


def letter_keys(settings: Settings) -> Iterator[Remark]:
    """The key that seals dead letters and those that open older ones; ConfigError as above."""
    present, at_hand = read_sealer(settings), read_sealers(settings)
    if present is None:
        fix = "tenminute dlq key FILE, then set `dead_letter_key_file` on every engine"
        yield Remark("not set: a dead letter keeps an outline only, no bytes to send again", fix)
    else:
        yield Remark(f"dead letters are sealed under {present.key_id}")
    older = sorted(at_hand.keys() - ({present.key_id} if present else set()))
    if older:
        yield Remark(f"older ones are opened with {', '.join(older)}")


def commands(settings: Settings) -> Iterator[Remark]:
    """What is in force on `decision.control`, a remark each; BrokerError without the topics."""
    trusted = control.trusted_of(settings)
    if not trusted:
        yield Remark("not looked at: no control key to tell them by")
        return
    for topic in (CONTROL, ACKS):
        require_topic(settings.bootstrap, topic, **settings.kafka)
    seen = control.look(settings, trusted)
    rows = rows_of(seen)
    if not rows:
        yield Remark("nothing is stopped; every limit is the policy's")
    for row in rows:
        yield Remark(in_words(row))
    if seen.refused:
        offsets = ", ".join(map(str, sorted(seen.refused)))
        yield Remark(
            f"{len(seen.refused)} records are refused, at offsets {offsets}",
            "see docs/runbook.md, TenMinuteControlRefused",
        )
