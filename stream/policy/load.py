"""`policy.toml` to a `Policy`: the only place of this package that reads a file.

Every fault is collected before anything is refused, so one run of
`tenminute policy check` shows the whole list, each with file, key and fix.
"""

from __future__ import annotations

import hashlib
import operator
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from stream.domain.application import Segment
from stream.domain.reasons import REASONS, ReasonCode
from stream.errors import ConfigError
from stream.policy.checks import Fault, faults_of
from stream.policy.model import (
    Band,
    KnockOut,
    KnockOutRule,
    Missing,
    Op,
    Policy,
    PolicyFile,
    PriceTier,
    Product,
    Queue,
    Route,
    SegmentPolicy,
    Terms,
    Value,
)

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_COMPARE: dict[Op, Callable[[Any, Any], bool]] = {
    Op.AT_LEAST: operator.ge,
    Op.ABOVE: operator.gt,
    Op.AT_MOST: operator.le,
    Op.BELOW: operator.lt,
    Op.EQUAL: operator.eq,
}
_TABLES: dict[str, type] = {
    "products": Product,
    "price_tiers": PriceTier,
    "segments": SegmentPolicy,
    "queues": Queue,
}


class PolicyError(ConfigError):
    """A policy that may not be used, with every fault found in it."""

    def __init__(self, path: Path, faults: list[Fault]) -> None:
        """Name the file once and each fault with its key and fix."""
        listed = "; ".join(f"{fault.key}: {fault.problem} ({fault.fix})" for fault in faults)
        super().__init__(
            f"{path}: {len(faults)} fault(s): {listed}",
            fix="mend them all, then run: tenminute policy check FILE",
        )
        self.faults = tuple(faults)


def load_policy(path: Path | str) -> Policy:
    """The policy of a file; PolicyError, a ConfigError, lists everything wrong with it."""
    file = Path(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{file}: cannot be read: {reason}", fix="check policy_file") from error
    return compile_policy(parse_policy(raw, file), hashlib.sha256(raw).hexdigest())


def parse_policy(raw: bytes, path: Path) -> PolicyFile:
    """Typed and checked content of a policy file; PolicyError names `path`."""
    try:
        content = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fault = Fault("(file)", f"not TOML in UTF-8: {error}", "mend the syntax at that place")
        raise PolicyError(path, [fault]) from error
    faults = _part_faults(content)
    if not faults:
        try:
            parsed = msgspec.convert(content, PolicyFile)
        except msgspec.ValidationError as error:
            faults.append(_type_fault("", error))
        else:
            faults = faults_of(parsed)
            if not faults:
                return parsed
    raise PolicyError(path, faults)


def _part_faults(content: dict[str, Any]) -> list[Fault]:
    """Type faults of every part by itself, so that one does not hide the next."""
    faults: list[Fault] = []
    for table, kind in _TABLES.items():
        found = content.get(table)
        for name, part in found.items() if isinstance(found, dict) else ():
            bands = part.get("bands") if isinstance(part, dict) else None
            if table == "segments" and isinstance(bands, list):
                for index, band in enumerate(bands):
                    _try(f"segments.{name}.bands[{index}]", band, Band, faults)
                # Bands have been checked: the segment's own check must not stop at them again.
                _try(f"{table}.{name}", {**part, "bands": []}, kind, faults)
            else:
                _try(f"{table}.{name}", part, kind, faults)
    rules = content.get("knock_out")
    for index, rule in enumerate(rules) if isinstance(rules, list) else ():
        _try(f"knock_out[{index}]", rule, KnockOut, faults)
    return faults


def _try(key: str, part: object, kind: type, faults: list[Fault]) -> None:
    try:
        msgspec.convert(part, kind)
    except msgspec.ValidationError as error:
        faults.append(_type_fault(key, error))


def _type_fault(key: str, error: msgspec.ValidationError) -> Fault:
    problem, _, place = str(error).partition(" - at `$")
    where = f"{key}{place.rstrip('`')}".lstrip(".") or "(file)"
    fix = "remove the key or mend its name" if "unknown field" in problem else "mend the value"
    return Fault(where, problem, "add the key" if "missing required" in problem else fix)


def compile_policy(file: PolicyFile, sha256: str) -> Policy:
    """Lay a checked policy out for look-ups."""
    return Policy(
        policy_id=file.policy_id,
        sha256=sha256,
        currency=file.currency,
        amount_step_fen=file.amount_step_fen,
        store_age_max_ms=file.store_age_max_ms,
        bureau_age_max_ms=file.bureau.age_max_days * _DAY_MS,
        bureau_scopes=file.bureau.scopes,
        barred_purposes=file.barred_purposes,
        halt=file.halt,
        breaker=file.breaker,
        terms=_terms(file),
        price_tiers=file.price_tiers,
        segments=file.segments,
        knock_outs={segment: _knock_outs(file, segment) for segment in Segment},
        routes=_routes(file),
        guard=file.guard,
    )


def _terms(file: PolicyFile) -> dict[tuple[str, Segment], Terms]:
    return {
        (code, segment): Terms(
            amount_min_fen=product.amount_min_fen,
            amount_max_fen=min(
                product.amount_max_fen,
                product.segment_caps_fen.get(segment, product.amount_max_fen),
            ),
            term_min_months=product.term_min_months,
            term_max_months=product.term_max_months,
        )
        for code, product in file.products.items()
        for segment in product.segments
    }


def _knock_outs(file: PolicyFile, segment: Segment) -> tuple[KnockOutRule, ...]:
    return tuple(_rule(rule) for rule in file.knock_out if segment in rule.segments)


def _rule(rule: KnockOut) -> KnockOutRule:
    source, _, field = rule.feature.partition(".")
    read: Callable[[object], Value] = operator.attrgetter(field)
    hits, refers = _COMPARE[rule.op], rule.when_missing is Missing.REFER
    return source == "bureau", read, hits, rule.value, refers, rule.feature, rule


def _routes(file: PolicyFile) -> dict[ReasonCode, Route]:
    routes: dict[ReasonCode, Route] = {}
    for name, queue in file.queues.items():
        for code, reason in REASONS.items():
            if reason.family in queue.families:
                overridable = queue.overridable and code not in file.never_overridable
                routes[code] = Route(name, overridable, queue.due_hours * _HOUR_MS)
    return routes
