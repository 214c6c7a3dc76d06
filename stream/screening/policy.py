"""The screening's own policy: what an offer adds to the decision policy, checked at load."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from stream.domain.application import Code, Segment
from stream.errors import ConfigError
from stream.policy.model import Amount, Bps, Months, Policy

Days = Annotated[int, Meta(ge=1, le=3_650)]


class SegmentScreening(Struct, frozen=True, forbid_unknown_fields=True):
    """The loan the model is asked about, and what bounds and prices the offer."""

    ask_fen: Amount
    term_months: Months
    is_credit_line: bool
    simplified_file: bool
    limit_income_pct: Annotated[int, Meta(ge=1, le=10_000)]
    limit_income_unknown_fen: Amount
    limit_min_fen: Amount
    prices: dict[str, tuple[Code, Bps]]


class ScreeningPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """`policy.toml` of the screening, key for key."""

    list_version: Annotated[int, Meta(ge=1)]
    validity_days: Days
    renew_days: Days
    profile_age_max_days: Days
    segments: dict[Segment, SegmentScreening]


def load_screening_policy(path: Path, policy: Policy) -> tuple[ScreeningPolicy, str]:
    """The policy in `path` and the hash of its bytes; ConfigError names the key at fault."""
    try:
        raw = path.read_bytes()
        found = msgspec.convert(tomllib.loads(raw.decode()), ScreeningPolicy)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror})", fix="set screening_file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}", fix="mend the key named above") from None
    for key, problem in _problems(found, policy):
        raise ConfigError(f"{path}: {key}: {problem}", fix="mend the key named above")
    return found, hashlib.sha256(raw).hexdigest()


def _problems(found: ScreeningPolicy, policy: Policy) -> Iterator[tuple[str, str]]:
    if found.renew_days >= found.validity_days:
        yield "renew_days", "not below validity_days: every offer would be sent again each time"
    for segment in Segment:
        key = f"segments.{segment.value}"
        if segment not in found.segments:
            yield key, "missing"
            return
        prices, bands = found.segments[segment].prices, policy.segments[segment].bands
        if set(prices) != {band.name for band in bands}:
            yield f"{key}.prices", "must name each band of the decision policy once"
        for name, (tier, apr_bps) in prices.items():
            held = policy.price_tiers.get(tier)
            if held is None or not held.apr_min_bps <= apr_bps <= held.apr_max_bps:
                yield f"{key}.prices.{name}", "its rate is not one of its price tier's"
