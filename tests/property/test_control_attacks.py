"""Whoever can write to `decision.control` without a key changes nothing by it."""

from __future__ import annotations

from typing import Any

from control_cases import KEY, SECOND_KEY, STRANGER, TRUSTED, command, record
from hypothesis import given
from hypothesis import strategies as st

from stream.codec.control_v1 import CommandRefusedError, decode_command
from stream.domain.control import Command, Placed, Switches
from stream.domain.instant import from_ms, to_ms
from stream.limits import COUNTERSIGN_MS_MAX
from stream.ports import Record

FIRST_MS = to_ms("2026-11-24T08:00:00Z")
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


def sha256(version: str) -> str:
    return version.replace(".", "").zfill(64)


@st.composite
def honest(draw: st.DrawFn) -> list[Command]:
    """What operators gave, a second apart: champions, trials and their ends, stops, resumes."""
    stands, found = "1.0.0", list[Command]()
    for number in range(draw(st.integers(1, 8))):
        facts: dict[str, Any] = {
            "command_id": f"cmd-{number:08}", "issued_at": from_ms(FIRST_MS + number * 1_000),
        }  # fmt: skip
        kind = draw(st.sampled_from(("champion", "trial", "end", "stop", "resume")))
        if kind in ("stop", "resume"):
            found.append(command(**facts, action=kind))
            continue
        version = draw(st.sampled_from([each for each in VERSIONS if each != stands]))
        model: dict[str, Any] = {"alias": "challenger"}
        if kind != "end":
            model |= {
                "version": version, "manifest_sha256": sha256(version), "replaces": stands,
                "replaces_sha256": sha256(stands), "rollback": version < stands,
            }  # fmt: skip
        if kind == "trial":
            model |= {"share_bps": 500, "salt": "s"}
        if kind == "champion":
            model["alias"], stands = "champion", version
        found.append(command(**facts, action="model", scope="model", model=model))
    return found


def tampered(given: Record, how: str) -> Record:
    """The record as somebody without a key can make it of one that was written."""
    headers = dict(given.headers)
    later = from_ms(given.timestamp_ms + 1)
    return {
        "again": given,
        "no value": given._replace(value=None),
        "other value": given._replace(value=(given.value or b"").replace(b"1.0.0", b"1.2.0")),
        "one signature": given._replace(headers=[h for h in given.headers if "-2" not in h[0]]),
        "other time": given._replace(headers=list({**headers, "ce_time": later}.items())),
        "other key": given._replace(key=b"model/champion/farmer"),
        "nonsense": given._replace(value=b"{", headers=[]),
    }[how]


HOW = ("again", "no value", "other value", "one signature", "other time", "other key", "nonsense")


def read(records: list[Record]) -> tuple[dict[str, Command], tuple[object, ...]]:
    """The commands in force by switch, and who stands where, after all of a topic."""
    switches = Switches()
    for each in records:
        try:
            placed = Placed(decode_command(each, TRUSTED), each.offset)
        except CommandRefusedError:
            continue
        if switches.unfit(placed) is None:
            switches = switches.with_command(*placed)
    commands = {key: placed.command for key, placed in switches.in_force.items()}
    return commands, switches.aliases("farmer")


@given(given_=honest(), data=st.data())
def test_records_without_a_key_change_nothing(given_: list[Command], data: st.DataObject) -> None:
    """Played again within the day that two signers have, changed, or cut: all is as without."""
    sent = [
        record(each, KEY, SECOND_KEY if each.signatures > 1 else None, offset=2 * number)
        for number, each in enumerate(given_)
    ]
    expected, topic = read(sent), list[Record]()
    for number, each in enumerate(sent):
        topic.append(each)
        old = data.draw(st.sampled_from(sent[: number + 1]))
        late_ms = data.draw(st.sampled_from((0, 1, 60_000, COUNTERSIGN_MS_MAX)))
        forged = tampered(old, data.draw(st.sampled_from(HOW)))
        at_ms = each.timestamp_ms + late_ms
        topic.append(forged._replace(offset=2 * number + 1, timestamp_ms=at_ms))
    assert expected == read(topic)
    assert expected == read([*topic, record(given_[-1], STRANGER, offset=2 * len(sent))])
