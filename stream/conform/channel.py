"""The channel kit from topic or file to verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stream.config import Settings
from stream.conform.channel_read import Reader, producer_hint
from stream.conform.channel_rules import judge
from stream.conform.sample import check, lines_of
from stream.conform.testtopics import prepare
from stream.conform.verdict import Finding
from stream.errors import ConfigError

ASK = """\
Your publisher, set up like this, is what is tested:
  bootstrap.servers   {bootstrap}
  publishes on        {topic} ({partitions} partitions)
  key                 applicant_token; partitioner murmur2 (librdkafka: murmur2_random)
  acks                all, with enable.idempotence
Publish {count} applications of made-up people now, some of them twice as a retry would."""


def conform_file(file: Path) -> list[Finding]:
    """Judge the applications of a file, one per line."""
    if not file.is_file():
        raise ConfigError(f"no file at {file}", fix="give a file with one application per line")
    records = [check(sample) for sample in lines_of(file, time.time_ns() // 1_000_000)]
    return judge(records, None) if records else [_arrived(0, "the file has no line")]


def conform_topic(
    settings: Settings,
    topic: str,
    count: int,
    timeout_seconds: float,
    say: Callable[[str], None],
    *,
    whole: bool = False,
) -> list[Finding]:
    """Judge what is published on `topic` from now on, or all of it when `whole`."""
    partitions = prepare(settings, topic)
    reader = Reader(settings, topic, partitions, whole=whole)
    bootstrap = settings.bootstrap
    say(ASK.format(bootstrap=bootstrap, topic=topic, partitions=partitions, count=count))
    samples = reader.read(count, timeout_seconds)
    if not samples:
        return [_arrived(0, f"nothing within {timeout_seconds:g} s")]
    records = [check(sample) for sample in samples]
    arrived = _arrived(len(samples), f"{len(samples):,} of {count:,}")
    hint = producer_hint(settings, topic, samples)
    return [arrived, *judge(records, partitions), hint]


def _arrived(count: int, detail: str) -> Finding:
    fix = "publish while the command runs, or give --from-start for what is there already"
    return Finding("arrived", count > 0, detail, "records were published", fix)
