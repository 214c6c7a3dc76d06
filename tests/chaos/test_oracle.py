"""The oracle must see what it is there to see: every kind of loss, double and mismatch, planted."""

from __future__ import annotations

from typing import Any

import pytest
from chaos.oracle import REFERRED_MAX, Audited, Decided, Given, Letter, Said, Seen, judge

from stream.domain.topics import APPLICATIONS, EVENTS, REVIEWS
from stream.ports import Place

LIMITS = {"t": 1_000}
HERE, THERE = Place(APPLICATIONS, 0), Place(APPLICATIONS, 1)
TOLD, ANSWERED = Place(EVENTS, 0), Place(REVIEWS, 0)


def home(key: bytes) -> int:
    return 1 if key == b"elsewhere" else 0


def given(offset: int, application_id: str, sha256: str = "s", **other: Any) -> Given:
    record = Given(0, offset, b"t", offset, "", application_id, sha256, None)
    return record._replace(**other)


def decided(offset: int, application_id: str, before: int = 0, **other: Any) -> Decided:
    digest = application_id.encode()
    record = Decided(0, offset, f"d-{application_id}", application_id, "t", "s", 100, before,
                     before + 100, digest)  # fmt: skip
    return record._replace(**other)


def clean() -> Seen:
    """Two applications, a repeat, a conflict and one malformed record, all answered."""
    return Seen(
        given=[
            given(0, "a"),
            given(1, "b"),
            given(2, "a"),
            given(3, "a", "other"),
            given(4, "", fault="unreadable"),
        ],
        decided=[decided(0, "a"), decided(1, "b", before=100)],
        letters=[Letter(0, 0, "0/3", "conflict", "other"), Letter(0, 1, "0/4", "unreadable", "s")],
        audited=[
            Audited(0, 0, "d-a", "0/0", b"a"),
            Audited(0, 1, "d-b", "0/1", b"b"),
            Audited(0, 2, "0/3", "0/3", b"other"),
            Audited(0, 3, "0/4", "0/4", b"s"),
        ],
        breaks=[],
        last={HERE: 4, TOLD: 2, ANSWERED: 0},
        committed={HERE: 5, TOLD: 3, ANSWERED: 1},
        ends={HERE: 6, TOLD: 3, ANSWERED: 1},
        uncommitted=3,
    )


def found(seen: Seen, acknowledged: int = 5) -> list[str]:
    verdict = judge(seen, acknowledged=acknowledged, home_of=home, limits_fen=LIMITS)
    return sorted({finding.kind for finding in verdict.findings})


def test_a_clean_run_is_clean() -> None:
    """Repeats, conflicts and malformed records in their due form are no finding."""
    verdict = judge(clean(), acknowledged=5, home_of=home, limits_fen=LIMITS)
    assert verdict.findings == []
    counts = (verdict.applications, verdict.decisions, verdict.letters, verdict.repeats)
    assert counts == (2, 2, 2, 1)
    assert verdict.aborted == 1


def test_a_run_that_referred_everybody_is_no_proof() -> None:
    """With nothing approved, nothing is known of what may be promised."""
    one = clean().decided[0]
    many = [
        one._replace(offset=n, application_id=f"a{n}", approved_fen=0, after_fen=0)
        for n in range(REFERRED_MAX + 1)
    ]
    verdict = judge(clean()._replace(decided=many), acknowledged=5, home_of=home, limits_fen=LIMITS)
    assert "all referred: no promise was tested" in {each.what for each in verdict.findings}


def at(place: Place, offset: int) -> dict[Place, int]:
    """The group's offsets with one of them another."""
    return {**clean().committed, place: offset}


def without(field: str, index: int) -> dict[str, Any]:
    rows = [*getattr(clean(), field)]
    del rows[index]
    return {field: rows}


def with_more(field: str, row: Any) -> dict[str, Any]:
    return {field: [*getattr(clean(), field), row]}


def with_other(field: str, index: int, **other: Any) -> dict[str, Any]:
    rows = [*getattr(clean(), field)]
    rows[index] = rows[index]._replace(**other)
    return {field: rows}


@pytest.mark.parametrize(
    "broken",
    [
        {**without("decided", 1), **without("audited", 1)},
        without("letters", 0) | {"audited": [r for r in clean().audited if r.about != "0/3"]},
        without("audited", 0),
        without("audited", 3),
        {"committed": at(HERE, 4)},
        {"committed": at(TOLD, 2)},
        {"committed": at(ANSWERED, -1)},
        {"committed": {}},
        with_more("given", given(5, "c", key=b"elsewhere")) | {"committed": at(HERE, 6)},
    ],
    ids=[
        "decision",
        "letter",
        "audit",
        "letter-audit",
        "offset",
        "event-offset",
        "review-offset",
        "no-offset",
        "stray",
    ],
)
def test_a_planted_loss_is_found(broken: dict[str, Any]) -> None:
    """Whatever is missing is told as lost."""
    assert "lost" in found(clean()._replace(**broken))


def test_an_acknowledged_record_that_is_gone_is_lost() -> None:
    """What the broker acknowledged must be on the topic."""
    assert found(clean(), acknowledged=6) == ["lost"]


@pytest.mark.parametrize(
    "broken",
    [
        with_more("decided", decided(2, "b", before=200)),
        with_more("letters", Letter(0, 2, "0/3", "conflict", "other")),
        with_more("audited", Audited(0, 4, "d-a", "0/0", b"a")),
        with_more("given", given(5, "c", key=b"elsewhere"))
        | {"committed": at(HERE, 6)}
        | {
            "given": [
                *clean().given,
                given(5, "c", key=b"elsewhere"),
                given(0, "c", key=b"elsewhere", partition=1, origin="0/5"),
                given(1, "c", key=b"elsewhere", partition=1, origin="0/5"),
            ]
        },
    ],
    ids=["decision", "letter", "audit", "forwarded"],
)
def test_a_planted_double_is_found(broken: dict[str, Any]) -> None:
    """Whatever is there twice is told as doubled."""
    assert "doubled" in found(clean()._replace(**broken))


@pytest.mark.parametrize(
    "broken",
    [
        with_other("decided", 0, sha256="other"),
        with_other("decided", 0, token="u"),
        with_other("decided", 0, partition=3),
        with_other("decided", 1, before_fen=0, after_fen=100),
        with_other("decided", 1, approved_fen=950, after_fen=1_050),
        with_other("decided", 1, after_fen=900),
        with_other("decided", 1, decision_id="d-a"),
        {"decided": [decided(0, "b"), decided(1, "a", before=100)]},
        with_more("decided", decided(2, "never-asked", before=200)),
        with_other("letters", 0, reason="invalid"),
        with_other("letters", 0, sha256="s"),
        with_more("letters", Letter(0, 2, "0/1", "conflict", "s")),
        with_other("audited", 0, digest=b"x"),
        with_other("audited", 0, partition=2),
        with_more("audited", Audited(0, 4, "d-x", "0/9", b"x")),
        {"breaks": ["decision.audit/0/1"]},
        {"committed": at(HERE, 7)},
        {"committed": at(TOLD, 4)},
    ],
    ids=["content", "person", "partition", "forgotten-promise", "cap", "sum", "shared-id", "order",
         "foreign", "reason", "letter-content", "undue-letter", "audit-content", "audit-partition",
         "undue-audit", "chain", "past-the-end",
         "past-the-events-end"],
)  # fmt: skip
def test_a_planted_mismatch_is_found(broken: dict[str, Any]) -> None:
    """Whatever is there but wrong is told as mismatched."""
    assert "mismatched" in found(clean()._replace(**broken))


def test_a_stray_sent_on_once_and_decided_there_is_clean() -> None:
    """A record on the wrong partition counts where it was sent on to, and only there."""
    seen = clean()
    record = given(5, "c", key=b"elsewhere")
    home_record = record._replace(partition=1, offset=0, origin="0/5")
    decision = decided(0, "c")._replace(partition=1, token="elsewhere")
    seen = seen._replace(
        given=[*seen.given, record, home_record],
        decided=[*seen.decided, decision],
        audited=[*seen.audited, Audited(1, 0, "d-c", "1/0", b"c")],
        last={HERE: 5, THERE: 0},
        committed={HERE: 6, THERE: 1},
        ends={HERE: 6, THERE: 2},
        uncommitted=4,
    )
    limits = {**LIMITS, "elsewhere": 1_000}
    verdict = judge(seen, acknowledged=6, home_of=home, limits_fen=limits)
    assert verdict.findings == []
    assert verdict.forwarded == 1


def refused(**other: Any) -> Decided:
    """A referral of `a`, and nothing promised."""
    return decided(0, "a", approved_fen=0, after_fen=0)._replace(**other)


def said(**other: Any) -> Said:
    return Said(set(), set(), set(), set(), {}, {})._replace(**other)


def of(records: list[Decided], spoken: Said) -> list[tuple[str, str]]:
    """What the oracle finds wrong with these decisions on `a`, `b` and `c`, audits aside."""
    seen = clean()._replace(given=[given(0, "a"), given(1, "b"), given(2, "c")], decided=records,
                            letters=[], audited=[])  # fmt: skip
    verdict = judge(seen, acknowledged=3, home_of=home, limits_fen=LIMITS, said=spoken)
    return [(each.kind, each.what) for each in verdict.findings if "audit" not in each.where]


def test_an_answered_referral_has_one_second_stage() -> None:
    """None is lost, two are doubled, and one that nobody asked for is mismatched."""
    second = refused(offset=3, decision_id="d2-a", stage=2, review_id="r", before_fen=200,
                     after_fen=200)  # fmt: skip
    rest = [decided(1, "b"), decided(2, "c", before=100)]
    answered = said(answered={"a": "r"})
    assert of([refused(), *rest, second], answered) == []
    assert ("lost", "no second-stage decision") in of([refused(), *rest], answered)
    twice = [refused(), *rest, second, second._replace(offset=4)]
    assert ("doubled", "2 second-stage decisions") in of(twice, answered)
    alone = of([refused(), *rest, second], said())
    assert alone == [("mismatched", "settles a referral that nobody answered so")]


@pytest.mark.parametrize(
    "spoken",
    [said(cancelled={"b"}), said(revoked={"t"}), said(for_people={"b"})],
    ids=["cancelled", "revoked", "for_people"],
)
def test_nothing_is_approved_against_what_was_said_before(spoken: Said) -> None:
    """A withdrawal, a revoked consent and a wish for a person each forbid the approval."""
    decisions = [refused(), decided(1, "b"), refused(offset=2, application_id="c", decision_id="c",
                                                     before_fen=100, after_fen=100)]  # fmt: skip
    assert of(decisions, said()) == []
    assert [kind for kind, _ in of(decisions, spoken)] == ["mismatched"]


def test_a_release_frees_what_was_promised_and_nothing_else_does() -> None:
    """The next decision may count the promise or not once it was released, and must before."""
    knowing = [decided(0, "a"), decided(1, "b", before=100), decided(2, "c", before=200)]
    freed = [decided(0, "a"), decided(1, "b"), decided(2, "c", before=100)]
    released = said(released={"a"})
    assert of(knowing, released) == of(freed, released) == of(knowing, said()) == []
    assert ("mismatched", "does not know what was promised before") in of(freed, said())


def test_a_promise_is_held_against_the_version_of_the_offer_it_rests_on() -> None:
    """A smaller limit binds from its version on, and a suspended offer approves nothing."""
    offers = {("t", 1): 1_000, ("t", 2): 150, ("t", 3): 0}
    decisions = [decided(0, "a", list_version=1), decided(1, "b", before=100, list_version=1)]
    last = refused(offset=2, application_id="c", decision_id="d-c", before_fen=200, after_fen=200)
    assert of([*decisions, last], said(offers=offers)) == []
    for version in (2, 3):
        smaller = [decisions[0], decisions[1]._replace(list_version=version), last]
        found = of(smaller, said(offers=offers))
        assert found == [("mismatched", "promises more than the offer's limit")]
