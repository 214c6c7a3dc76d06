"""What looks like a person's data where only tokens belong; told by place and kind, never shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from stream.conform.sample import Sample

_LEFT, _RIGHT = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_BIRTHDAY = r"(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an 18-digit id", re.compile(rf"{_LEFT}[1-9]\d{{5}}{_BIRTHDAY}\d{{3}}[\dXx]{_RIGHT}")),
    ("a 15-digit id", re.compile(rf"{_LEFT}[1-9]\d{{5}}\d{{2}}(?:0[1-9]|1[0-2])\d{{5}}{_RIGHT}")),
    ("a mobile number", re.compile(rf"{_LEFT}(?:\+?86[- ]?)?1[3-9]\d{{9}}{_RIGHT}")),
    ("a mail address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.\w")),
)
NAMES = frozenset({
    "name", "full_name", "first_name", "last_name", "customer_name", "applicant_name",
    "xingming", "id_no", "id_number", "id_card", "idcard", "national_id", "identity_card",
    "cert_no", "certificate_no", "sfz", "passport", "phone", "phone_number", "mobile",
    "mobile_number", "mobile_no", "tel", "telephone", "email", "mail", "address",
    "home_address", "bank_card", "card_no", "card_number", "account_no", "account_number",
    "wechat", "openid", "birthday", "date_of_birth",
})  # fmt: skip
"""Field and header names that ask for such data whatever stands in them today."""


def private_places(sample: Sample) -> Iterator[tuple[str, str]]:
    """Place and kind of everything in key, headers and value that looks personal."""
    if sample.key is not None:
        yield from _in_text("key", sample.key.decode("utf-8", "replace"))
    for name, value in sample.headers or ():
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
        yield from _named(f"header {name}", name)
        yield from _in_text(f"header {name}", text)
    try:
        document = json.loads(sample.value)
    except (ValueError, RecursionError):
        yield from _in_text("value", sample.value.decode("utf-8", "replace"))
    else:
        yield from _in_document("", document)


def _in_document(path: str, node: object) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, child in node.items():
            place = f"{path}.{name}" if path else name
            yield from _named(place, name)
            yield from _in_document(place, child)
    elif isinstance(node, list):
        for child in node:
            yield from _in_document(f"{path}[]", child)
    elif isinstance(node, str):
        yield from _in_text(path, node)
    elif isinstance(node, int) and not path.endswith("_fen"):
        # An amount of fen has as many digits as a mobile number; other numbers are no amounts.
        yield from _in_text(path, str(node))


def _named(place: str, name: str) -> Iterator[tuple[str, str]]:
    if name.lower().replace("-", "_") in NAMES:
        yield place, "a personal field's name"


def _in_text(place: str, text: str) -> Iterator[tuple[str, str]]:
    for kind, pattern in KINDS:
        if pattern.search(text):
            yield place, kind
