"""What a policy must not say, beyond its types: gaps, overlaps, dead and contradicting rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

from stream.domain.application import Declared, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.reasons import REASONS
from stream.policy.model import KnockOut, Op, PolicyFile, SegmentPolicy

_NEVER_ACCEPTED = frozenset({BureauStatus.STALE, BureauStatus.UNAUTHORISED})
_KNOCK_OUT_FAMILIES = frozenset("ABCE")
_NOT_NUMBERS = frozenset({"applicant_token", "status", "as_of", "authorization_id", "scope"})


class Fault(NamedTuple):
    """One thing wrong: the key, what is wrong with it, and what to do."""

    key: str
    problem: str
    fix: str


def _features() -> frozenset[str]:
    bureau = {f"bureau.{name}" for name in BureauFeatures.__struct_fields__}
    declared = {f"declared.{name}" for name in Declared.__struct_fields__}
    texts = {f"bureau.{name}" for name in _NOT_NUMBERS} | {"declared.sector"}
    return frozenset((bureau | declared) - texts)


FEATURES = _features()
"""What a knock-out may look at: numbers and flags of the report and of what was declared."""


def faults_of(file: PolicyFile) -> list[Fault]:
    """Every fault of a policy whose types are right, in the order of the file."""
    return [
        *_halt_faults(file),
        *_bureau_faults(file),
        *_guard_faults(file),
        *_product_faults(file),
        *_tier_faults(file),
        *_segment_faults(file),
        *_knock_out_faults(file),
        *_queue_faults(file),
    ]


def _halt_faults(file: PolicyFile) -> Iterator[Fault]:
    models = {segment.model for segment in file.segments.values()}
    for model in sorted(file.halt.models - models):
        yield Fault("halt.models", f"no segment uses the model {model!r}", "name a model in use")
    for segment in sorted(file.halt.segments - file.segments.keys()):
        yield Fault("halt.segments", f"{segment.value!r} has no [segments] part", "remove it")


def _bureau_faults(file: PolicyFile) -> Iterator[Fault]:
    if not file.bureau.scopes:
        yield Fault("bureau.scopes", "empty: no report could ever be used", "name a scope")


def _guard_faults(file: PolicyFile) -> Iterator[Fault]:
    guard = file.guard
    if guard.tighten_at_pct >= guard.refer_at_pct:
        fix = "let it be below refer_at_pct"
        yield Fault("guard.tighten_at_pct", "never reached before all is referred", fix)
    if guard.ease_pct >= guard.tighten_at_pct:
        fix = "let it be below tighten_at_pct"
        yield Fault("guard.ease_pct", "a tightened segment would never be eased", fix)


def _product_faults(file: PolicyFile) -> Iterator[Fault]:
    if not file.products:
        yield Fault("products", "no product: nothing could be approved", "add one")
    for code, product in file.products.items():
        key = f"products.{code}"
        if not product.segments:
            yield Fault(f"{key}.segments", "offered to no segment", "name one or remove it")
        for segment in sorted(product.segments - file.segments.keys()):
            problem = f"{segment.value!r} has no [segments] part"
            yield Fault(f"{key}.segments", problem, f"add [segments.{segment.value}]")
        if product.amount_min_fen > product.amount_max_fen:
            yield Fault(f"{key}.amount_min_fen", "above amount_max_fen", "lower it")
        if product.term_min_months > product.term_max_months:
            yield Fault(f"{key}.term_min_months", "above term_max_months", "lower it")
        for segment, cap_fen in product.segment_caps_fen.items():
            where = f"{key}.segment_caps_fen.{segment.value}"
            if segment not in product.segments:
                yield Fault(where, "the product is not offered there", "remove it")
            if not product.amount_min_fen <= cap_fen <= product.amount_max_fen:
                yield Fault(where, "outside the product's own range", "keep it inside")


def _tier_faults(file: PolicyFile) -> Iterator[Fault]:
    if not file.price_tiers:
        yield Fault("price_tiers", "no tier: no offer could be priced", "add one")
    inverted = [n for n, tier in file.price_tiers.items() if tier.apr_min_bps > tier.apr_max_bps]
    if inverted:
        for name in inverted:
            yield Fault(f"price_tiers.{name}.apr_min_bps", "above apr_max_bps", "lower it")
        return
    ordered = sorted(file.price_tiers.items(), key=lambda item: item[1].apr_min_bps)
    for (below, lower), (name, tier) in pairwise(ordered):
        expected = lower.apr_max_bps + 1
        if tier.apr_min_bps != expected:
            what = "overlaps" if tier.apr_min_bps < expected else "leaves a gap above"
            key, fix = f"price_tiers.{name}.apr_min_bps", f"set it to {expected}"
            yield Fault(key, f"{what} {below}, which ends at {lower.apr_max_bps}", fix)


def _segment_faults(file: PolicyFile) -> Iterator[Fault]:
    offered = {segment for product in file.products.values() for segment in product.segments}
    for name, segment in file.segments.items():
        key = f"segments.{name.value}"
        if name not in offered:
            yield Fault(key, "no product is offered to it", "offer one or remove the segment")
        if segment.points_min > segment.points_max:
            yield Fault(f"{key}.points_min", "above points_max", "lower it")
        elif not segment.points_min <= segment.cut_off_points <= segment.points_max:
            yield Fault(f"{key}.cut_off_points", "outside the points of the scale", "move it")
        for status in sorted(segment.bureau_accepted & _NEVER_ACCEPTED):
            problem = f"{status.value!r} may never be accepted"
            yield Fault(f"{key}.bureau_accepted", problem, "remove it")
        if not segment.bureau_accepted and not segment.bureau_may_be_missing:
            yield Fault(f"{key}.bureau_accepted", "empty: nothing could pass", "accept `hit`")
        yield from _band_faults(key, segment)


def _band_faults(key: str, segment: SegmentPolicy) -> Iterator[Fault]:
    bands = segment.bands
    if not bands:
        yield Fault(f"{key}.bands", "no band: every score would be refused", "add bands")
        return
    names = [band.name for band in bands]
    if len(set(names)) != len(names):
        yield Fault(f"{key}.bands", "two bands of one name", "rename one")
    for index, band in enumerate(bands):
        if band.points_from > band.points_to:
            yield Fault(f"{key}.bands[{index}].points_from", "above points_to", "lower it")
    for index, (lower, upper) in enumerate(pairwise(bands), start=1):
        where, expected = f"{key}.bands[{index}]", lower.points_to + 1
        if upper.points_from > expected:
            gap = f"gap: points {expected} to {upper.points_from - 1} have no band"
            yield Fault(f"{where}.points_from", gap, f"set it to {expected}")
        elif upper.points_from < expected:
            problem = f"overlaps the band before, which ends at {lower.points_to}"
            yield Fault(f"{where}.points_from", problem, f"set it to {expected}")
        if upper.limit_fen < lower.limit_fen:
            yield Fault(f"{where}.limit_fen", "below that of a worse band", "raise it")
    if bands[0].points_from != segment.cut_off_points:
        problem = f"the bands start at {bands[0].points_from}, the cut-off is elsewhere"
        fix = f"set it to {segment.cut_off_points}"
        yield Fault(f"{key}.bands[0].points_from", problem, fix)
    if bands[-1].points_to != segment.points_max:
        problem = f"the bands end at {bands[-1].points_to}, points_max is elsewhere"
        fix = f"set it to {segment.points_max}"
        yield Fault(f"{key}.bands[{len(bands) - 1}].points_to", problem, fix)


def _knock_out_faults(file: PolicyFile) -> Iterator[Fault]:
    rules = file.knock_out
    for index, rule in enumerate(rules):
        key = f"knock_out[{index}]"
        if any(rule.id == other.id for other in rules[:index]):
            yield Fault(f"{key}.id", f"{rule.id!r} is used twice", "rename one")
        if rule.feature not in FEATURES:
            fix = f"one of {', '.join(sorted(FEATURES))}"
            yield Fault(f"{key}.feature", f"unknown feature {rule.feature!r}", fix)
        if not isfinite(rule.value):
            yield Fault(f"{key}.value", "not a finite number", "give a number")
        if REASONS[rule.reason].family not in _KNOCK_OUT_FAMILIES:
            problem = f"{rule.reason.value} is not a reason of a knock-out"
            yield Fault(f"{key}.reason", problem, "take one of family A, B, C or E")
        if not rule.segments:
            yield Fault(f"{key}.segments", "empty: the rule is never asked", "name a segment")
        for segment in sorted(rule.segments - file.segments.keys()):
            if rule.segments != frozenset(Segment):
                problem = f"{segment.value!r} has no [segments] part"
                yield Fault(f"{key}.segments", problem, "remove it")
        for other in rules[:index]:
            if _covers(other, rule):
                problem = f"unreachable: {other.id!r} already refers whatever this would"
                yield Fault(key, problem, "remove it, or place the stricter rule first")


def _covers(earlier: KnockOut, later: KnockOut) -> bool:
    """Whether `later` can never add anything: another reason or a firmer no still counts."""
    if earlier.feature != later.feature or not later.segments <= earlier.segments:
        return False
    adds = earlier.reason is not later.reason or (earlier.overridable and not later.overridable)
    if adds or (later.when_missing != earlier.when_missing and later.when_missing == "refer"):
        return False
    return _implies(later, earlier)


def _implies(later: KnockOut, earlier: KnockOut) -> bool:
    """Whether every value that meets `later` also meets `earlier`."""
    value, edge = later.value, earlier.value
    if later.op is Op.EQUAL:
        meets = {
            Op.AT_LEAST: value >= edge,
            Op.ABOVE: value > edge,
            Op.AT_MOST: value <= edge,
            Op.BELOW: value < edge,
            Op.EQUAL: value == edge,
        }
        return meets[earlier.op]
    if later.op in (Op.AT_LEAST, Op.ABOVE):
        touches = earlier.op is Op.AT_LEAST or later.op is Op.ABOVE
        upward = earlier.op in (Op.AT_LEAST, Op.ABOVE)
        return upward and (value > edge or (value == edge and touches))
    touches = earlier.op is Op.AT_MOST or later.op is Op.BELOW
    downward = earlier.op in (Op.AT_MOST, Op.BELOW)
    return downward and (value < edge or (value == edge and touches))


def _queue_faults(file: PolicyFile) -> Iterator[Fault]:
    families = {reason.family for reason in REASONS.values()}
    owner: dict[str, str] = {}
    for name, queue in file.queues.items():
        key = f"queues.{name}.families"
        if not queue.families:
            yield Fault(key, "empty: nothing would wait here", "name a family or remove it")
        for family in sorted(queue.families):
            if family not in families:
                yield Fault(key, f"unknown family {family!r}", f"one of {sorted(families)}")
            elif family in owner:
                problem = f"family {family!r} already goes to {owner[family]!r}"
                yield Fault(key, problem, "leave it in one queue")
            else:
                owner[family] = name
    for family in sorted(families - owner.keys()):
        yield Fault("queues", f"family {family!r} goes to no queue", "add it to one")
