"""Each rule for a channel's records: what it means, how it is checked, how to mend it."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from stream.codec.application_v1 import content_sha256
from stream.codec.keys import partition_of
from stream.conform.envelope import header_fault, schema_faults
from stream.conform.private import private_places
from stream.conform.sample import Checked, envelope_fault
from stream.conform.verdict import Finding, some
from stream.domain.instant import to_ms
from stream.errors import PoisonError
from stream.limits import CLOCK_SKEW_MS_MAX, RECORD_BYTES_MAX

KINDS_SHOWN_MAX = 6
KEYS_MIN = 8
"""With fewer different keys a partition may be right by chance."""

Faults = dict[str, list[str]]
"""Where each kind of fault was seen."""


def told(rule: str, meaning: str, fix: str, faults: Faults, fine: str) -> Finding:
    """A finding whose detail names each kind of fault with its number and first places."""
    if not faults:
        return Finding(rule, True, fine, meaning, fix)
    most = sorted(faults.items(), key=lambda item: -len(item[1]))
    parts = [f"{kind}: {len(where):,} ({some(where)})" for kind, where in most[:KINDS_SHOWN_MAX]]
    if len(most) > KINDS_SHOWN_MAX:
        parts.append(f"and {len(most) - KINDS_SHOWN_MAX} more kinds")
    ids = tuple(each for where in faults.values() for each in where)
    return Finding(rule, False, "; ".join(parts), meaning, fix, ids)


def accepted(records: Sequence[Checked]) -> Finding:
    """What the engine would say of each record: the exact reason of its dead letter."""
    faults: Faults = defaultdict(list)
    for each in records:
        fault = each.found if isinstance(each.found, PoisonError) else envelope_fault(each)
        if fault is not None:
            faults[f"{fault.reason}: {fault.field}: {fault.detail}"].append(each.sample.where)
    return told(
        "engine",
        "the engine decides it and does not dead-letter it",
        "mend the field named; schemas/loan.applications.schema.json describes each",
        faults,
        f"{len(records):,} records",
    )


def schema(records: Sequence[Checked]) -> Finding:
    """The published JSON Schema, applied to every value."""
    faults: Faults = defaultdict(list)
    for each in records:
        for fault in schema_faults("loan.applications", each.sample.value):
            faults[fault].append(each.sample.where)
    return told(
        "schema",
        "the value is as schemas/loan.applications.schema.json says",
        "validate against that file in your own tests",
        faults,
        f"{len(records):,} records",
    )


def key(records: Sequence[Checked]) -> Finding:
    """The key is the applicant token of the value."""
    faults: Faults = defaultdict(list)
    for each in records:
        if each.application is None:
            continue
        if each.sample.key is None:
            faults["no key"].append(each.sample.where)
        elif each.sample.key != each.application.applicant_token.encode():
            faults["another key"].append(each.sample.where)
    fix = "set the record key to applicant_token, as plain UTF-8 bytes without quotes"
    fine = f"{len(records):,} records"
    return told("key", "the key is the applicant_token", fix, faults, fine)


def partitioner(records: Sequence[Checked], partitions: int) -> Finding:
    """The partition is murmur2 of the key; the hash that was used instead is named."""
    keyed = [(each.sample, each.sample.key) for each in records if each.sample.key]
    wrong: Faults = defaultdict(list)
    for sample, own in keyed:
        if sample.partition != partition_of(own, partitions):
            wrong["another partition"].append(sample.where)
    keys = {own for _, own in keyed}
    meaning = "the partition is murmur2 of the key"
    fix = "Java and kafka-python do it by themselves; librdkafka: partitioner=murmur2_random"
    if partitions == 1 or not keys:
        return Finding("partitioner", None, "not to be seen here", meaning, fix)
    by_crc = all(sample.partition == zlib.crc32(own) % partitions for sample, own in keyed)
    if wrong and by_crc:
        name = "librdkafka's default consistent_random (CRC-32), not murmur2"
        wrong = {name: wrong["another partition"]}
    few = f"; only {len(keys)} different keys, send {KEYS_MIN}" if len(keys) < KEYS_MIN else ""
    fine = f"{len(keys):,} keys over {partitions} partitions{few}"
    return told("partitioner", meaning, fix, wrong, fine)


def headers(records: Sequence[Checked]) -> Finding:
    """Schema version and CloudEvents headers, as the published schema has them."""
    faults: Faults = defaultdict(list)
    for each in records:
        application = each.application
        if application is None or each.sample.headers is None:
            continue
        own_id = application.application_id
        fault = header_fault(each.sample.headers, "loan.application.v1", own_id)
        if fault is not None:
            faults[fault].append(each.sample.where)
    return told(
        "headers",
        "schema_version and the CloudEvents headers are there and right",
        "send the headers of the channel guide with every record",
        faults,
        f"{len(records):,} records",
    )


def ids(records: Sequence[Checked]) -> Finding:
    """An application id belongs to one person."""
    people: dict[str, set[str]] = defaultdict(set)
    for application in (each.application for each in records if each.application):
        people[application.application_id].add(application.applicant_token)
    shared = [name for name, tokens in people.items() if len(tokens) > 1]
    faults = {"used for two people": shared} if shared else {}
    fix = "make it from a source that never repeats, such as a UUID"
    fine = f"{len(people):,} different ids"
    return told("ids", "an application_id is used once for ever", fix, faults, fine)


def retries(records: Sequence[Checked]) -> Finding:
    """The same id carries the same content every time."""
    contents: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for application in (each.application for each in records if each.application):
        name = (application.applicant_token, application.application_id)
        contents[name][content_sha256(application)] += 1
    changed = [name for (_, name), found in contents.items() if len(found) > 1]
    again = sum(found.total() - 1 for found in contents.values())
    faults = {"conflict, the content changed": changed} if changed else {}
    fix = "keep the bytes and send them again; a changed application needs a new id"
    return told("retries", "a retry has the same content", fix, faults, f"{again:,} retries")


def instants(records: Sequence[Checked]) -> Finding:
    """Nothing was submitted or signed after it was published."""
    faults: Faults = defaultdict(list)
    for each in records:
        if each.application is None:
            continue
        latest = each.sample.seen_at_ms + CLOCK_SKEW_MS_MAX
        signed_at = each.application.authorization.signed_at
        if to_ms(each.application.submitted_at) > latest:
            faults["submitted_at is in the future"].append(each.sample.where)
        if to_ms(signed_at) > latest:
            faults["authorization.signed_at is in the future"].append(each.sample.where)
    fix = "publish UTC with a Z, from a clock kept by NTP; local time is not UTC"
    fine = f"{len(records):,} records"
    return told("instants", "instants have a zone and are past", fix, faults, fine)


def size(records: Sequence[Checked]) -> Finding:
    """No value is over the engine's bound."""
    faults: Faults = defaultdict(list)
    for each in records:
        if len(each.sample.value) > RECORD_BYTES_MAX:
            faults["oversize"].append(each.sample.where)
    largest = max((len(each.sample.value) for each in records), default=0)
    meaning = f"a value has at most {RECORD_BYTES_MAX:,} bytes"
    fix = "send fields of the schema only; documents and pictures go elsewhere"
    return told("size", meaning, fix, faults, f"largest {largest:,} bytes")


def private(records: Sequence[Checked]) -> Finding:
    """Nothing looks like a person's data; told by place, never by value."""
    faults: Faults = defaultdict(list)
    for each in records:
        for place, kind in private_places(each.sample):
            faults[f"{place} looks like {kind}"].append(each.sample.where)
    return told(
        "privacy",
        "no id, phone number, name or address is in value, key or headers",
        "leave the field out; a person is the applicant_token and nothing else",
        faults,
        f"{len(records):,} records",
    )


def order(records: Sequence[Checked]) -> Finding:
    """A person's applications lie in the order in which they were submitted."""
    last: dict[str, int] = {}
    known: set[tuple[str, str]] = set()
    faults: Faults = defaultdict(list)
    for each in records:
        if each.application is None:
            continue
        token, name = each.application.applicant_token, each.application.application_id
        if (token, name) in known:
            continue
        known.add((token, name))
        at_ms = to_ms(each.application.submitted_at)
        if at_ms < last.get(token, at_ms):
            faults["published after a later one"].append(each.sample.where)
        last[token] = max(at_ms, last.get(token, at_ms))
    fix = "send one person's records from one producer, with enable.idempotence=true"
    fine = f"{len(last):,} people"
    return told("order", "a person's records are in order of submitted_at", fix, faults, fine)


def judge(records: Sequence[Checked], partitions: int | None) -> list[Finding]:
    """Every rule; those about key, headers and partition only where a topic was read."""
    offline = "not to be seen in a file"
    envelope: Iterable[Finding]
    if partitions is None:
        about = (("key", ""), ("partitioner", ""), ("headers", ""))
        envelope = [Finding(name, None, offline, "", fix) for name, fix in about]
    else:
        envelope = (key(records), partitioner(records, partitions), headers(records))
    values = (schema, ids, retries, instants, size, private, order)
    return [accepted(records), *envelope, *(rule(records) for rule in values)]
