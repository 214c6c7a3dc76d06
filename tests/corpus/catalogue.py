"""The 98 bad inputs: reads the tables beside it, one list for every test that wants bad records."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from builders import raw
from corpus.making import (
    CANARY,
    MAKERS,
    SOUND,
    Made,
    replaced,
    sound_with,
    with_amount,
    with_member,
)
from policy_cases import TOKEN

from stream.ports import Record

__all__ = ["BAD", "CANARY", "Bad", "Case", "Input", "cases"]

FOLDER = Path(__file__).parent
_CASE = {"number", "title", "because", "expect", "through", "input"}
_WAYS: Mapping[str, Callable[[Any], bytes]] = {
    "value": str.encode,
    "hex": bytes.fromhex,
    "replace": lambda pair: replaced(pair[0].encode(), pair[1].encode()),
    "replace_hex": lambda pair: replaced(pair[0].encode(), bytes.fromhex(pair[1])),
    "add": lambda member: with_member(member.encode()),
    "after": lambda text: SOUND + text.encode(),
    "before": lambda text: text.encode() + SOUND,
    "amount": lambda literal: with_amount(literal.encode()),
    "change": lambda changes: sound_with(**changes),
}
"""How a record is made from what the table says; `make` names one of `MAKERS` instead."""
_HOW = {"make", *_WAYS}
_AROUND = {"name", "expect", "field", "key", "headers", "timestamp_ms"}
SITUATION = {
    "first", "offer", "report", "report_nan", "offers", "reports", "meanwhile", "rows", "answers",
    "score", "policy", "codec", "aborted",
}  # fmt: skip
PATHS = {"pipeline", "strays", "broker", "keeper", "model", "policy", "start"}


class Input(NamedTuple):
    """One record of a case, what surrounds it and what must become of it."""

    name: str
    record: Record
    expect: str
    situation: Mapping[str, Any]


class Case(NamedTuple):
    """One line of the catalogue."""

    number: int
    title: str
    because: str
    through: frozenset[str]
    inputs: Sequence[Input]

    def __str__(self) -> str:
        """As a test names it."""
        return f"{self.number:02} {self.title}"


class Bad(NamedTuple):
    """A record that becomes a dead letter by itself, with the letter's reason and field."""

    name: str
    record: Record
    reason: str
    field: str


def _made(given: Mapping[str, Any]) -> dict[str, Made]:
    """The records an entry describes, by name; without a description, the sound one."""
    hows = _HOW & given.keys()
    assert len(hows) <= 1, f"{hows}: a record is made one way"
    if not hows:
        return {"": Made(SOUND)}
    how = hows.pop()
    return MAKERS[given[how]]() if how == "make" else {"": Made(_WAYS[how](given[how]))}


def _inputs(case: Mapping[str, Any]) -> Iterator[Input]:
    for at, given in enumerate(case["input"], 1):
        unknown = given.keys() - _HOW - _AROUND - SITUATION
        assert not unknown, f"{case['number']}: {unknown}"
        for name, made in _made(given).items():
            key = given["key"].encode() if "key" in given else TOKEN.encode()
            headers = [(k, v.encode()) for k, v in given.get("headers", ())]
            record = raw(
                made.value,
                key=key if made.has_key else None,
                headers=headers if "headers" in given else made.headers,
            )
            if "timestamp_ms" in given:
                record = record._replace(timestamp_ms=given["timestamp_ms"])
            expect = given.get("expect", case["expect"])
            named = " ".join(filter(None, (given.get("name", ""), name))) or f"input {at}"
            field = given.get("field", made.field)
            situation = {key: given[key] for key in SITUATION & given.keys()}
            yield Input(named, record, expect.format(field=field), situation)


@cache
def cases(through: str | None = None) -> Sequence[Case]:
    """Every case in order, or those that go through one path."""
    found = []
    for file in sorted(FOLDER.glob("*.toml")):
        for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]:
            assert case.keys() <= _CASE, f"{file.name}: {case.keys() - _CASE}"
            paths = frozenset(case.get("through", ["pipeline"]))
            assert paths <= PATHS, f"{file.name}: {paths}"
            made = Case(case["number"], case["title"], case["because"], paths, tuple(_inputs(case)))
            found.append(made)
    return tuple(each for each in found if through is None or through in each.through)


def _letters() -> Iterator[Bad]:
    for case in cases("pipeline"):
        for each in case.inputs:
            if each.expect.startswith("dead_letter ") and not each.situation:
                _, reason, field = each.expect.split(" ", 2)
                yield Bad(f"{case.number:02} {each.name}", each.record, reason, field)


BAD: Sequence[Bad] = tuple(_letters())
"""Everything that is a dead letter whatever surrounds it."""
