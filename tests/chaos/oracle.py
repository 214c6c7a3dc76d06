"""Oracle O: whether every record that came in was answered exactly once, by the topics alone.

Pure: it is handed what was read and returns what is wrong. It asks the engine nothing and
uses none of its decoding of applications: what a record is, its sender wrote beside it.
Positions count: of two records with one id, the first on the right partition is the
application, whatever order they were sent in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stream.ports import Place

Kind = Literal["lost", "doubled", "mismatched"]


class Given(NamedTuple):
    """One committed record of `loan.applications`."""

    partition: int
    offset: int
    key: bytes
    number: int
    fault: str
    application_id: str
    sha256: str
    origin: str | None


class Decided(NamedTuple):
    """One committed decision."""

    partition: int
    offset: int
    decision_id: str
    application_id: str
    token: str
    sha256: str
    approved_fen: int
    before_fen: int
    after_fen: int
    digest: bytes
    stage: int = 1
    review_id: str = ""
    list_version: int | None = None


class Letter(NamedTuple):
    """One committed dead letter; `sha256` as it says of itself."""

    partition: int
    offset: int
    origin: str
    reason: str
    sha256: str


class Audited(NamedTuple):
    """One committed audit record: of a decision (`digest` set) or of a dead letter."""

    partition: int
    offset: int
    about: str
    source: str
    digest: bytes


class Seen(NamedTuple):
    """Everything read after a run."""

    given: Sequence[Given]
    decided: Sequence[Decided]
    letters: Sequence[Letter]
    audited: Sequence[Audited]
    breaks: Sequence[str]
    """Where the audit chain is broken."""
    last: Mapping[Place, int]
    """The offset of the last committed record of each partition of all inputs that has any."""
    committed: Mapping[Place, int]
    ends: Mapping[Place, int]
    uncommitted: int
    """Decisions an uncommitted reader sees, those of aborted transactions included."""


class Said(NamedTuple):
    """What was said beside the applications, by application id or token."""

    cancelled: set[str]
    """Withdrawn, and heard by the engine, before the application was sent."""
    for_people: set[str]
    """As that, to be decided by a person."""
    revoked: set[str]
    """People who took their consent back before that."""
    released: set[str]
    """Cancelled or expired after an approval, at whatever moment."""
    answered: dict[str, str]
    """Review that answers the referral of an application."""
    offers: dict[tuple[str, int], int]
    """Limit by token and version of the offer, 0 where it was suspended; none: never changed."""


SILENT = Said(set(), set(), set(), set(), {}, {})
REFERRED_MAX = 100
"""A run of more decisions than this with no approval among them has not tested what is promised."""


class Finding(NamedTuple):
    """One thing that is wrong, and where."""

    kind: Kind
    where: str
    what: str


@dataclass
class Verdict:
    """What the oracle found."""

    records: int = 0
    applications: int = 0
    decisions: int = 0
    approved: int = 0
    letters: int = 0
    repeats: int = 0
    forwarded: int = 0
    aborted: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Note one thing that is wrong."""
        self.findings.append(Finding(kind, where, what))

    def count(self, kind: Kind) -> int:
        """How many of a kind."""
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class Expected:
    """What the records on the topic must have become, worked out the plain way."""

    def __init__(self, given: Iterable[Given], home_of: Callable[[bytes], int]) -> None:
        self.first: dict[tuple[int, str], Given] = {}
        self.letters: dict[str, tuple[str, str]] = {}
        self.strays: set[str] = set()
        self.origins: Counter[str] = Counter()
        self.repeats = 0
        for record in sorted(given, key=lambda each: (each.partition, each.offset)):
            if record.origin is not None:
                self.origins[record.origin] += 1
            self._place(record, home_of(record.key))

    def _place(self, record: Given, home: int) -> None:
        where = f"{record.partition}/{record.offset}"
        known = self.first.get((record.partition, record.application_id))
        if home != record.partition:
            self.strays.add(where)
        elif record.fault:
            self.letters[where] = (record.fault, record.sha256)
        elif known is None:
            self.first[record.partition, record.application_id] = record
        elif known.sha256 != record.sha256:
            self.letters[where] = ("conflict", record.sha256)
        else:
            self.repeats += 1


def judge(
    seen: Seen,
    *,
    acknowledged: int,
    home_of: Callable[[bytes], int],
    limits_fen: Mapping[str, int],
    said: Said = SILENT,
) -> Verdict:
    """Hold what was read against what had to be there."""
    expected = Expected(seen.given, home_of)
    verdict = Verdict(
        records=sum(each.origin is None for each in seen.given),
        applications=len(expected.first),
        decisions=len(seen.decided),
        letters=len(seen.letters),
        repeats=expected.repeats,
        forwarded=expected.origins.total(),
        aborted=seen.uncommitted - len(seen.decided),
    )
    numbers = {each.number for each in seen.given if each.origin is None}
    if len(numbers) < acknowledged:
        verdict.add("lost", "loan.applications", f"{acknowledged - len(numbers)} acknowledged")
    _judge_strays(expected, verdict)
    first_stage = [each for each in seen.decided if each.stage == 1]
    _judge_decisions(first_stage, expected, verdict)
    _judge_reviews([each for each in seen.decided if each.stage != 1], said, verdict)
    _judge_said(seen.decided, said, verdict)
    _judge_promises(seen.decided, expected, limits_fen, said, verdict)
    _judge_letters(seen.letters, expected, verdict)
    _judge_audit(seen, verdict)
    _judge_offsets(seen, verdict)
    return verdict


def _judge_strays(expected: Expected, verdict: Verdict) -> None:
    for where in expected.strays:
        times = expected.origins[where]
        if times == 0:
            verdict.add("lost", f"loan.applications/{where}", "not sent on to its partition")
        elif times > 1:
            verdict.add("doubled", f"loan.applications/{where}", f"sent on {times} times")
    for where in expected.origins.keys() - expected.strays:
        verdict.add("mismatched", f"loan.applications/{where}", "sent on from where it belonged")


def _judge_decisions(decided: Sequence[Decided], expected: Expected, verdict: Verdict) -> None:
    times: Counter[tuple[int, str]] = Counter()
    ids: Counter[str] = Counter()
    for each in decided:
        where = f"disbursement.decisions/{each.partition}/{each.offset}"
        who = (each.partition, each.application_id)
        times[who] += 1
        ids[each.decision_id] += 1
        asked = expected.first.get(who)
        if asked is None:
            verdict.add("mismatched", where, "answers nothing that was asked on this partition")
        elif asked.sha256 != each.sha256 or asked.key != each.token.encode():
            verdict.add("mismatched", where, "answers other content than was asked first")
    for who, asked in expected.first.items():
        place = f"loan.applications/{asked.partition}/{asked.offset}"
        if times[who] == 0:
            verdict.add("lost", place, "no decision")
        elif times[who] > 1:
            verdict.add("doubled", place, f"{times[who]} decisions")
    shared = sum(count > 1 for count in ids.values()) - sum(c > 1 for c in times.values())
    if shared > 0:
        verdict.add("mismatched", "disbursement.decisions", f"{shared} decision ids shared")


def _judge_reviews(decided: Sequence[Decided], said: Said, verdict: Verdict) -> None:
    """Each answered referral has the one second-stage decision, on the review that answers it."""
    times: Counter[str] = Counter()
    for each in decided:
        times[each.application_id] += 1
        if said.answered.get(each.application_id) != each.review_id:
            where = f"disbursement.decisions/{each.partition}/{each.offset}"
            verdict.add("mismatched", where, "settles a referral that nobody answered so")
    for application_id, review_id in said.answered.items():
        if times[application_id] == 0:
            verdict.add("lost", f"loan.referral-outcomes/{review_id}", "no second-stage decision")
        elif times[application_id] > 1:
            what = f"{times[application_id]} second-stage decisions"
            verdict.add("doubled", f"loan.referral-outcomes/{review_id}", what)


def _judge_said(decided: Sequence[Decided], said: Said, verdict: Verdict) -> None:
    """Nothing is approved against what its person had said before."""
    for each in decided:
        where = f"disbursement.decisions/{each.partition}/{each.offset}"
        if not each.approved_fen:
            continue
        if each.application_id in said.cancelled:
            verdict.add("mismatched", where, "approves what was cancelled before it was sent")
        if each.token in said.revoked:
            verdict.add("mismatched", where, "approves without consent")
        if each.stage == 1 and each.application_id in said.for_people:
            verdict.add("mismatched", where, "decides by machine what was asked of a person")


def _judge_promises(
    decided: Sequence[Decided],
    expected: Expected,
    limits_fen: Mapping[str, int],
    said: Said,
    verdict: Verdict,
) -> None:
    """One person's decisions in the order asked, each knowing all promises before it.

    When a release is heard no topic says, so a promise released at some time may count or not.
    """
    reached: dict[tuple[int, str], int] = {}
    possible: dict[str, set[int]] = {}
    for each in sorted(decided, key=lambda found: (found.partition, found.offset)):
        where = f"disbursement.decisions/{each.partition}/{each.offset}"
        asked = expected.first.get((each.partition, each.application_id))
        if asked is not None and each.stage == 1:
            if asked.offset < reached.get((each.partition, each.token), -1):
                verdict.add("mismatched", where, "before an earlier application of the person")
            reached[each.partition, each.token] = asked.offset
        before = possible.setdefault(each.token, {0})
        if each.before_fen not in before:
            verdict.add("mismatched", where, "does not know what was promised before")
        after = {fen + each.approved_fen for fen in before}
        possible[each.token] = after | before if each.application_id in said.released else after
        if each.after_fen != each.before_fen + each.approved_fen:
            verdict.add("mismatched", where, "exposure does not add up")
        verdict.approved += each.approved_fen > 0
        limit_fen = limits_fen.get(each.token, 0)
        if each.list_version is not None:
            limit_fen = said.offers.get((each.token, each.list_version), limit_fen)
        # What was released counts for nothing, what was not counts in full.
        owed_fen = max(each.after_fen, min(possible[each.token]))
        if each.approved_fen and owed_fen > limit_fen:
            verdict.add("mismatched", where, "promises more than the offer's limit")
    if len(decided) > REFERRED_MAX and not verdict.approved:
        verdict.add("mismatched", "disbursement.decisions", "all referred: no promise was tested")


def _judge_letters(letters: Sequence[Letter], expected: Expected, verdict: Verdict) -> None:
    times: Counter[str] = Counter()
    for letter in letters:
        where = f"loan.applications.dlq/{letter.partition}/{letter.offset}"
        times[letter.origin] += 1
        if (letter.reason, letter.sha256) != expected.letters.get(letter.origin):
            verdict.add("mismatched", where, f"no such dead letter was due: {letter.reason}")
    for origin in expected.letters:
        if times[origin] == 0:
            verdict.add("lost", f"loan.applications/{origin}", "no dead letter")
        elif times[origin] > 1:
            verdict.add("doubled", f"loan.applications/{origin}", f"{times[origin]} dead letters")


def _judge_audit(seen: Seen, verdict: Verdict) -> None:
    """Audit = decisions + dead letters, each on the same partition and with the same content."""
    due = {each.decision_id: (each.partition, each.digest) for each in seen.decided}
    due |= {letter.origin: (letter.partition, letter.sha256.encode()) for letter in seen.letters}
    times: Counter[str] = Counter()
    for each in seen.audited:
        where = f"decision.audit/{each.partition}/{each.offset}"
        times[each.about] += 1
        if each.about not in due:
            verdict.add("mismatched", where, "audits what is not on the topics")
        elif due[each.about] != (each.partition, each.digest):
            verdict.add("mismatched", where, "differs from what it audits")
    for about in due:
        if times[about] == 0:
            verdict.add("lost", "decision.audit", f"no audit record of {about}")
        elif times[about] > 1:
            verdict.add("doubled", "decision.audit", f"{times[about]} audit records of {about}")
    for where in seen.breaks:
        verdict.add("mismatched", where, "the audit chain is broken")


def _judge_offsets(seen: Seen, verdict: Verdict) -> None:
    """On each input the group has committed past the last record, and not past the end."""
    for place, offset in seen.last.items():
        where, committed = f"{place.topic}/{place.partition}", seen.committed.get(place, -1)
        if committed <= offset:
            verdict.add("lost", where, f"committed {committed}, last record {offset}")
    for place, committed in seen.committed.items():
        if committed > seen.ends.get(place, committed):
            where = f"{place.topic}/{place.partition}"
            verdict.add("mismatched", where, f"committed {committed}, past the end")
