"""What a dead letter says of its record in the open, `field` and `detail`, is of a closed list.

Both stand in headers and in the audit unsealed, whatever key there is. The field is one of the
schemas', the detail one of the sentences below: the only numbers in it are lengths and the
schemas' own bounds. So neither can carry a value, a name or a key that came from a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec
from builders import HEADERS, NOW_MS, application_bytes, under
from corpus.bench import models, views
from corpus.catalogue import BAD
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import POLICY, TOKEN

from stream.domain.application import Application
from stream.domain.application_event import ApplicationEvent
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.review import ReferralOutcome
from stream.domain.topics import APPLICATIONS, EVENTS, INPUTS, REVIEWS
from stream.pipeline import Pipeline
from stream.ports import Record

_TYPE = r"(?:`(?:object|array|int|float|bool|str|null)(?: \| null)?`)"
_GOT = r"`(?:object|array|int|float|bool|str|null)`"
SENTENCES = [
    rf"Expected {_TYPE}, got {_GOT}",
    r"Expected `int` (?:>=|<=) -?\d{1,19}",
    r"Expected `str` of length (?:>=|<=) \d{1,3}",
    r"Expected `array` of length (?:>=|<=) \d{1,3}",
    r"(?:Integer value|Number) out of range",
    r"\d{1,9} bytes, expected (?:at most \d{1,9}|\d|the applicant_token)",
    r"(?:absent|no key), expected (?:\d|the applicant_token)",
    r"\d{1,9} characters, expected RFC 3339 with a zone",
    r"nested deeper than \d{1,3}",
    r"missing(?:, [a-z_]{1,24} needs it)?",
    *map(re.escape, (
        "not one UTF-8 JSON object", "key given more than once", "key spelt in other case",
        "not one of the allowed values", "not after submitted_at", "in the future",
        "known with other content; send changes under a new id",
        "before the ledger's window; send it again as a new application",
        "expected above 0 on an approval and 0 on a decline", "too large to be sent on",
        "already answered by another review", "no open referral in the ledger's window",
    )),
]  # fmt: skip


def _declared(struct: type, within: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a struct and of those in it, bare and by its path, with its type."""
    for name, kind in get_type_hints(struct, include_extras=True).items():
        yield f"{within}{name}", kind
        yield name, kind
        inner = [kind, *get_args(kind)]
        for each in inner:
            if isinstance(each, type) and issubclass(each, msgspec.Struct):
                yield from _declared(each, f"{within}{name}.")


DECLARED = [
    pair for each in (Application, ApplicationEvent, ReferralOutcome) for pair in _declared(each)
]
FIELDS = {"$", "key", "header schema_version"} | {name for name, _ in DECLARED}
PATTERNS = {
    meta.pattern for kind in [kind for _, kind in DECLARED]
    for each in [kind, *get_args(kind)]
    for meta in [each, *get_args(each)]
    if isinstance(meta, msgspec.Meta) and meta.pattern
}  # fmt: skip
SAYS = re.compile(
    "|".join([*SENTENCES, *(re.escape(f"Expected `str` matching regex {p!r}") for p in PATTERNS)])
)
PIPELINE = Pipeline(models(), POLICY)


def told(*records: Record) -> list[tuple[str, str]]:
    """Field and detail of each dead letter these records become."""
    at_home = [record._replace(partition=0) for record in records]
    batch = PIPELINE.run(at_home, {0: Draft(Ledger())}, under(views()))
    return [(error.field, error.detail) for _, error in batch.buried]


def foreign(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that say anything that is not on the list."""
    return [(f, d) for f, d in pairs if f not in FIELDS or not SAYS.fullmatch(d)]


def test_the_words_of_every_bad_input_are_on_the_list() -> None:
    """All 98 kinds become dead letters, and none says more than the list holds."""
    words = told(*(bad.record for bad in BAD))
    assert len(words) > 80
    assert foreign(words) == []


def test_the_list_would_not_let_a_value_pass() -> None:
    """A number, a name or a path of somebody's own is not on it."""
    for detail in ("Expected `int`, got 13800138000", "138001380001 bytes, expected 1", "张测试",
                   "missing, Ceshi Zhang needs it", ""):  # fmt: skip
        assert foreign([("term_months", detail)])
    assert foreign([("declared.张测试", "missing")])


_said = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3)
    ),
    max_leaves=6,
)
_SOUND = {
    APPLICATIONS: msgspec.json.decode(application_bytes()),
    EVENTS: {"event_id": "event-0001", "kind": "cancel", "applicant_token": TOKEN,
             "occurred_at": "2026-11-24T08:00:00Z", "application_id": "app-00000001"},
    REVIEWS: {"review_id": "review-0001", "decision_id": "decision-0001",
              "application_id": "app-00000001", "applicant_token": TOKEN, "answer": "decline",
              "approved_amount_fen": 0, "reviewer_id": "reviewer-01",
              "answered_at": "2026-11-24T08:00:00Z"},
}  # fmt: skip


@st.composite
def _records(draw: st.DrawFn) -> Record:
    """A record of any input with anything at one or two places of it, or no JSON at all."""
    topic = draw(st.sampled_from(INPUTS))
    body = msgspec.json.decode(msgspec.json.encode(_SOUND[topic]))
    for _ in range(draw(st.integers(0, 2))):
        inside = draw(st.sampled_from([body, *(v for v in body.values() if isinstance(v, dict))]))
        name = draw(st.sampled_from(sorted(inside)) | st.text(max_size=20)) if inside else "x"
        inside[name] = draw(_said)
    value = draw(st.sampled_from([msgspec.json.encode(body)]) | st.binary(max_size=60))
    key = draw(st.sampled_from([TOKEN.encode(), None]) | st.binary(max_size=40))
    version = draw(st.sampled_from([HEADERS, []]) | st.binary(max_size=9).map(_versioned))
    return Record(topic, 0, 0, key, value, version, NOW_MS)


def _versioned(version: bytes) -> list[tuple[str, str | bytes | None]]:
    return [("schema_version", version)]


@given(_records())
def test_whatever_is_sent_only_words_of_the_list_are_told(record: Record) -> None:
    """Any value at any field, any name, key and header: nothing of it is in field or detail."""
    assert foreign(told(record)) == []
