"""Decisions of a trial, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any

import msgspec
from watch_records import approval

from stream.domain.decision import Audit, ModelInForce, RuleHit
from stream.domain.lineup import Alias

AMOUNT_MAX_FEN = 20_000_000
CHAMPION = ModelInForce("champion", "1.0.0", "a" * 64)
_replace = msgspec.structs.replace


def rival(version: str = "2.0.0", share_bps: int = 2_000) -> ModelInForce:
    """A challenger in force."""
    return ModelInForce("challenger", version, "b" * 64, share_bps, "salt")


def tried(number: int, day: int = 0, *, drawn: bool = False, **changes: Any) -> Audit:
    """A decision of a trial, on an applicant of its own."""
    audit = approval(number, day)
    said = {"applicant_token": f"t{number}", **changes}
    audit = _replace(audit, decision=_replace(audit.decision, **said))
    standing = _replace(
        audit.standing,
        arm=Alias.CHALLENGER if drawn else Alias.CHAMPION,
        models=(CHAMPION, rival()),
    )
    return _replace(audit, standing=standing, rules=(RuleHit("model", "pass", {}),))
