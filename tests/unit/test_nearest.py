"""The nearest yes is looked for under what decided, not under what is in force today."""

from __future__ import annotations

import msgspec
from audit_cases import MODELS, Harsher, audit_of, audits, in_two_arms
from policy_cases import POLICY

from stream.audit.again import decide_instead
from stream.audit.at_hand import AtHand, Older, Wanted
from stream.audit.nearest import Finder, NearestYes
from stream.codec.decision_v1 import decode_audit
from stream.domain.application import Segment
from stream.domain.decision import Audit, Outcome
from stream.domain.lineup import Alias

HARSHER = Harsher(MODELS["consumer"], 0.05)
CASES = 25


def _referred(audits: list[Audit], arm: Alias = Alias.CHAMPION) -> list[Audit]:
    """Scored cases of an arm that were not approved in full."""
    return [
        each
        for each in audits
        if each.log_odds is not None
        and each.standing.arm is arm
        and (each.decision.outcome is Outcome.REFER or each.decision.counter_offer)
    ][:CASES]


def _holds(at_hand: AtHand, audit: Audit, found: NearestYes) -> bool:
    """Whether the change is approved by what decided the record."""
    assert audit.application is not None
    changed = msgspec.structs.replace(audit.application, **found.words(audit.application))
    (made,) = decide_instead(at_hand.ready(Wanted.of(audit)).pipeline, audit, [changed]).decisions
    return made.outcome is Outcome.APPROVE and not made.counter_offer


def test_the_arm_that_decided_is_asked() -> None:
    """A challenger's case is searched under the challenger, from the release at hand by its hash.

    Where that release is not at hand, the champion in force stands in, and it is said; what it
    finds is not always approved by the challenger.
    """
    values = [decode_audit(value) for value in in_two_arms(HARSHER)]
    known = AtHand(MODELS, POLICY, Older({}, {HARSHER.manifest_sha256: HARSHER}))
    without, finder = Finder(AtHand(MODELS, POLICY)), Finder(known)
    tried = _referred(values, Alias.CHALLENGER)
    found = [(audit, finder.find(audit)) for audit in tried]
    yes = [(audit, each) for audit, each in found if each is not None]
    assert yes
    assert all(_holds(known, audit, each) for audit, each in yes)
    assert {""} == {finder.lacking(audit) for audit in tried}
    assert all("not at hand" in without.lacking(audit) for audit in tried)
    too_good = [(audit, without.find(audit)) for audit in tried]
    assert any(each is not None and not _holds(known, audit, each) for audit, each in too_good)


def test_the_policy_that_decided_is_asked() -> None:
    """After the cut-off rose, a case decided before it is searched under the older policy."""
    consumer = POLICY.segments[Segment.CONSUMER]
    stricter = msgspec.structs.replace(consumer, cut_off_points=consumer.cut_off_points + 40)
    segments = {**POLICY.segments, Segment.CONSUMER: stricter}
    now = msgspec.structs.replace(POLICY, segments=segments, sha256="e" * 64)
    cases = _referred([audit_of(each) for each in audits()])
    before = Finder(AtHand(MODELS, POLICY))
    expected = [before.find(audit) for audit in cases]
    assert any(expected)
    known = Finder(AtHand(MODELS, now, Older({POLICY.sha256: POLICY}, {})))
    assert expected == [known.find(audit) for audit in cases]
    unknown = Finder(AtHand(MODELS, now))
    assert all("policy" in unknown.lacking(audit) for audit in cases)
    assert expected != [unknown.find(audit) for audit in cases]
