"""The channel kit's rules, each broken on purpose, from a file and from single records."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import application, application_bytes, token

from stream.codec.headers import cloud_event
from stream.codec.keys import partition_of
from stream.conform.channel import conform_file
from stream.conform.channel_rules import judge
from stream.conform.private import private_places
from stream.conform.sample import Sample, check
from stream.conform.verdict import Finding, as_document, exit_of
from stream.domain.instant import to_ms
from stream.errors import ConfigError, Exit

PARTITIONS = 6
NOW_MS = to_ms(application()["submitted_at"])


def sample(number: int, **changes: Any) -> Sample:
    """A sound record of person `number`, with `changes` laid over its value."""
    own = {"application_id": f"application-{number:04d}", "applicant_token": token(number)}
    document = application(**{**own, **changes})
    key = token(number).encode()
    at, name = document["submitted_at"], document["application_id"]
    headers = cloud_event("loan.application.v1", "/channels/h5", name, at)
    place = partition_of(key, PARTITIONS)
    return Sample(f"{place}/{number}", place, key, json.dumps(document).encode(), headers, NOW_MS)


def broken(samples: Sequence[Sample], partitions: int | None = PARTITIONS) -> dict[str, Finding]:
    findings = judge([check(each) for each in samples], partitions)
    return {each.rule: each for each in findings if each.passed is False}


def test_sound_records_keep_every_rule() -> None:
    """Twenty people, one of them with a retry, and nothing to say."""
    samples = [sample(number) for number in range(20)]
    assert broken([*samples, samples[0]]) == {}


@pytest.mark.parametrize(
    ("rules", "change"),
    [
        ({"key", "engine"}, {"key": None}),
        ({"key", "engine"}, {"key": b"another"}),
        ({"headers", "engine"}, {"headers": []}),
        ({"engine", "schema"}, {"value": application_bytes(term_months="36")}),
        ({"engine", "schema"}, {"value": b"{"}),
        ({"engine", "size"}, {"value": application_bytes(note="x" * 70_000)}),
        ({"instants"}, {"seen_at_ms": NOW_MS - 86_400_000}),
    ],
)
def test_one_bad_record_breaks_its_rules(rules: set[str], change: dict[str, Any]) -> None:
    """Among sound records the one is found, and its place named."""
    bad = sample(20)._replace(where="5/99", **change)
    found = broken([*(sample(number) for number in range(20)), bad])
    assert rules == set(found) - {"partitioner"}
    assert all("5/99" in each.detail for each in found.values())


def test_the_engines_own_reason_is_told() -> None:
    """The line is the dead letter the record would become."""
    bad = sample(1)._replace(value=application_bytes(term_months="36"))
    assert "invalid: term_months: " in broken([bad])["engine"].detail


def test_librdkafkas_default_is_named() -> None:
    """Partitions by CRC-32 are told from partitions by chance."""
    samples = [sample(number) for number in range(20)]
    by_crc = [each._replace(partition=zlib.crc32(each.key or b"") % PARTITIONS) for each in samples]
    assert "consistent_random" in broken(by_crc)["partitioner"].detail
    by_chance = [each._replace(partition=n % PARTITIONS) for n, each in enumerate(samples)]
    found = broken(by_chance)["partitioner"]
    assert "consistent_random" not in found.detail
    assert "another partition" in found.detail


def test_an_id_with_two_contents_is_a_conflict() -> None:
    """A retry may be spelt in another order, not changed; an id is one person's."""
    first = sample(1)
    respelt = json.dumps(dict(reversed(list(json.loads(first.value).items())))).encode()
    assert broken([first, first._replace(value=respelt)]) == {}
    assert {"retries"} == set(broken([first, sample(1, requested_amount_fen=7)]))
    assert {"ids"} == set(broken([first, sample(2, application_id="application-0001")]))


def test_a_person_out_of_order_is_found() -> None:
    """Of two applications of one person the later came first; a late retry is no fault."""
    early = sample(1)
    later = sample(1, application_id="application-9999", submitted_at="2026-11-24T08:00:01Z")
    later = later._replace(headers=cloud_event("loan.application.v1", "/x", "application-9999",
                                               "2026-11-24T08:00:01Z"))  # fmt: skip
    if to_ms("2026-11-24T08:00:01Z") < NOW_MS:
        early, later = later, early
    assert {"order"} == set(broken([later, early])) - {"instants"}
    assert set() == set(broken([early, later, early])) - {"instants"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id_no": "x"}, "id_no"),
        ({"note": "call 13912345678"}, "note"),
        ({"note": {"deep": ["110101199003074233"]}}, "note.deep[]"),
        ({"note": 13912345678}, "note"),
        ({"note": "a.b@example.com"}, "note"),
    ],
)
def test_personal_data_is_told_by_place_and_never_shown(
    changes: dict[str, Any], place: str
) -> None:
    """The report names the field and the kind; what stood there is not in it."""
    bad = sample(1)._replace(value=application_bytes(**changes))
    found = broken([bad])["privacy"]
    assert f"{place} looks like" in found.detail
    assert not any(secret in str(found) for secret in ("1391234", "19900307", "@example"))


def test_an_amount_or_a_token_is_no_phone_number() -> None:
    """Eleven digits of fen, hex digits of a token and a header's instant are left alone."""
    sound = sample(1, requested_amount_fen=13_912_345_678)
    assert list(private_places(sound)) == []
    phone = sound._replace(headers=[("x-caller", b"+86 13912345678")])
    assert list(private_places(phone)) == [("header x-caller", "a mobile number")]


def test_a_file_is_judged_without_a_broker(tmp_path: Path) -> None:
    """Rules of the envelope are not judged; a bad line is named by its number."""
    file = tmp_path / "applications.jsonl"
    file.write_bytes(sample(1).value + b"\n\n" + sample(2).value + b"\n")
    findings = conform_file(file)
    assert exit_of(findings) == Exit.OK
    assert {"key", "partitioner", "headers"} == {x.rule for x in findings if x.passed is None}
    file.write_bytes(sample(1).value + b"\n{\n")
    findings = conform_file(file)
    assert exit_of(findings) == Exit.FAILED
    assert "line 2" in next(each for each in findings if each.rule == "engine").detail
    assert as_document(findings)["passed"] is False
    with pytest.raises(ConfigError):
        conform_file(tmp_path / "none.jsonl")
