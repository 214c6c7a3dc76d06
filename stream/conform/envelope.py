"""What is wrong with the headers of a record, held against the published schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from stream.config import load_settings
from stream.domain.instant import to_ms

HeaderList = Sequence[tuple[str, str | bytes | None]]


def header_fault(headers: HeaderList, event_type: str, event_id: str) -> str | None:
    """The first header at fault and what was expected of it, or None; never its value."""
    found = {name: _text(value) for name, value in headers}
    for error in validator("record.headers").iter_errors(found):
        field = ".".join(map(str, error.absolute_path))
        if error.validator == "required":
            missing = next(name for name in error.validator_value if name not in found)
            return f"header {missing} is missing"
        return f"header {field}: not as {error.validator} asks"
    if found["ce_type"] != event_type:
        return f"header ce_type: expected {event_type}"
    if found["ce_id"] != event_id:
        return "header ce_id: expected the record's own id"
    try:
        to_ms(str(found["ce_time"]))
    except ValueError:
        return "header ce_time: expected RFC 3339 with a zone"
    return None


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of schemas/NAME.schema.json."""
    file = load_settings().schemas_dir / f"{name}.schema.json"
    document: dict[str, Any] = json.loads(file.read_bytes())
    return Draft202012Validator(document)


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def schema_faults(name: str, value: bytes) -> list[str]:
    """Where a value is not as schemas/NAME.schema.json says; never what stood there."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return ["not one JSON document"]
    return [_described(error) for error in validator(name).iter_errors(document)]


def _described(error: Any) -> str:  # noqa: ANN401  (untyped library)
    field = ".".join(map(str, error.absolute_path)) or "$"
    if error.validator == "required":
        missing = [each for each in error.validator_value if each not in error.instance]
        return f"{field}: {', '.join(missing)} is missing"
    return f"{field}: not as {error.validator} asks"
