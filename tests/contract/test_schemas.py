"""The schema files and the record types say the same, both ways."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from control_cases import KEY, command, commands
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from stream.audit.checkpoint import Checkpoint, encode_checkpoint
from stream.codec.application_v1 import decode_application
from stream.codec.control_v1 import encode_command
from stream.codec.dead_letter_v1 import encode_dead_letter
from stream.codec.decision_v1 import encode_dead_letter_audit
from stream.codec.headers import cloud_event
from stream.codec.seal import Sealer
from stream.codec.signatures import new_private_key
from stream.domain.application import Application
from stream.domain.application_event import ApplicationEvent
from stream.domain.bureau import BureauFeatures
from stream.domain.chain import GENESIS, chain_headers, link
from stream.domain.control import Acknowledgement, Command
from stream.domain.decision import Audit, DeadLetterAudit, Decision
from stream.domain.funnel import FunnelRow
from stream.domain.instant import to_ms
from stream.domain.outcome import LoanOutcome
from stream.domain.profile import CustomerProfile
from stream.domain.review import ReferralOutcome
from stream.domain.whitelist import WhitelistEntry
from stream.errors import PoisonError
from stream.ports import Record

SCHEMAS = Path(__file__).parents[2] / "schemas"
TYPES: dict[str, type[msgspec.Struct]] = {
    "loan.applications": Application,
    "customer.profiles": CustomerProfile,
    "whitelist.entries": WhitelistEntry,
    "bureau.features": BureauFeatures,
    "disbursement.decisions": Decision,
    "decision.audit": Audit,
    "decision.audit.dead-letter": DeadLetterAudit,
    "decision.audit.checkpoints": Checkpoint,
    "decision.control": Command,
    "decision.control.acks": Acknowledgement,
    "loan.outcomes": LoanOutcome,
    "loan.funnel": FunnelRow,
    "loan.application-events": ApplicationEvent,
    "loan.referral-outcomes": ReferralOutcome,
}
STRICT = {"decision.control.schema.json"}
"""Where an unknown field is refused: half a command may be the wrong command."""
COMPARED = ("minimum", "maximum", "minLength", "maxLength", "pattern")
FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time", raises=ValueError)(
    lambda text: not isinstance(text, str) or to_ms(text) is not None
)


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


FILES = {path.name: load(path) for path in SCHEMAS.glob("*.schema.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in FILES.values()
)


def validator(name: str) -> Draft202012Validator:
    schema = FILES[f"{name}.schema.json"]
    return Draft202012Validator(schema, registry=REGISTRY, format_checker=FORMATS)


def topic_of(path: Path) -> str:
    return max((name for name in TYPES if path.name.startswith(f"{name}.")), key=len)


class Shape:
    """A schema node with references followed, in one comparable form."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def of(self, node: dict[str, Any]) -> dict[str, Any]:
        root, node = self._follow(node)
        if root is not self.root:
            return Shape(root).of(node)
        if "anyOf" in node:
            parts = [self.of(part) for part in node["anyOf"]]
            merged = {key: value for part in parts for key, value in part.items()}
            return merged | {"types": sorted({t for part in parts for t in part["types"]})}
        given_type = node.get("type", "string" if "enum" in node else [])
        shape: dict[str, Any] = {
            "types": sorted([given_type] if isinstance(given_type, str) else given_type)
        }
        for key in COMPARED:
            if key in node:
                value = node[key]
                shape[key] = value.replace("\\Z", "$") if key == "pattern" else value
        if "enum" in node:
            shape["enum"] = sorted(node["enum"])
        if "items" in node:
            shape["items"] = self.of(node["items"])
        if isinstance(node.get("additionalProperties"), dict):
            shape["values"] = self.of(node["additionalProperties"])
        if "properties" in node:
            shape["required"] = sorted(node.get("required", []))
            shape["properties"] = {k: self.of(v) for k, v in node["properties"].items()}
        return shape

    def _follow(self, node: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        root = self.root
        while "$ref" in node:
            file, _, pointer = node["$ref"].partition("#")
            root = FILES[file] if file else root
            node = root
            for step in pointer.strip("/").split("/") if pointer else ():
                node = node[step]
        return root, node


@pytest.mark.parametrize("topic", TYPES)
def test_schema_and_type_agree(topic: str) -> None:
    """Names, required-ness, types, enum values, bounds and patterns are equal in both."""
    generated = msgspec.json.schema(TYPES[topic])
    written = FILES[f"{topic}.schema.json"]
    assert Shape(generated).of(generated) == Shape(written).of(written)


@pytest.mark.parametrize("name", sorted(FILES))
def test_schema_is_sound(name: str) -> None:
    """Valid 2020-12, every property described, unknown fields allowed but for STRICT."""
    schema = FILES[name]
    Draft202012Validator.check_schema(schema)
    for node in (schema, *schema.get("$defs", {}).values()):
        assert node["additionalProperties"] is (name not in STRICT)
        assert [f for f, prop in node["properties"].items() if not prop.get("description")] == []


def records(topic: str) -> st.SearchStrategy[Any]:
    """Records of the type; instants are real instants, since the type bounds only their length."""
    patterns = {
        "instant": st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z"),
    }

    def build(node: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
        while "$ref" in node:
            node = root["$defs"][node["$ref"].split("/")[-1]]
        if "anyOf" in node:
            return st.one_of([build(part, root) for part in node["anyOf"]])
        if "enum" in node:
            return st.sampled_from(node["enum"])
        kind = node["type"]
        if kind == "object" and "properties" in node:
            fields = {k: build(v, root) for k, v in node["properties"].items()}
            needed = {k: v for k, v in fields.items() if k in node["required"]}
            rest = {k: v for k, v in fields.items() if k not in node["required"]}
            return st.fixed_dictionaries(needed, optional=rest)
        if kind == "object":
            values = node.get("additionalProperties", {})
            return st.dictionaries(st.text(max_size=5), build(values, root), max_size=2)
        if kind == "array":
            return st.lists(build(node["items"], root), max_size=2)
        if kind == "string" and node.get("minLength") == 20:
            return patterns["instant"].filter(lambda text: len(text) == 20)
        if kind == "string" and "pattern" in node:
            return st.from_regex(re.compile(node["pattern"], re.ASCII), fullmatch=True)
        low, high = node.get("minimum"), node.get("maximum")
        leaves: dict[str, st.SearchStrategy[Any]] = {
            "string": st.text(max_size=10),
            "integer": st.integers(
                -(2**53) if low is None else low, 2**53 if high is None else high
            ),
            "number": st.floats(low, high, allow_nan=False, allow_infinity=False),
            "boolean": st.booleans(),
            "null": st.none(),
        }
        return leaves[kind]

    if topic == "decision.control":  # names and limits depend on scope and action
        return commands()
    generated = msgspec.json.schema(TYPES[topic])
    return build(generated, generated).map(lambda v: msgspec.convert(v, TYPES[topic]))


@pytest.mark.parametrize("topic", TYPES)
def test_records_of_the_type_validate(topic: str) -> None:
    """Whatever the type can hold, encoded, is valid under the schema."""
    check = validator(topic)

    @settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(records(topic))
    def holds(record: msgspec.Struct) -> None:
        value = json.loads(msgspec.json.encode(record))
        # Instants of our own output are not bounded by the type, so formats are left out here.
        plain = Draft202012Validator(check.schema, registry=REGISTRY)
        assert [error.message for error in plain.iter_errors(value)] == []

    holds()


@pytest.mark.parametrize(
    "path", sorted(SCHEMAS.glob("examples/valid/*.json")), ids=lambda p: p.stem
)
def test_valid_example_is_taken_by_both(path: Path) -> None:
    """A valid example validates and decodes strictly into the type."""
    topic = topic_of(path)
    assert [error.message for error in validator(topic).iter_errors(load(path))] == []
    record = msgspec.json.decode(path.read_bytes(), type=TYPES[topic])
    assert isinstance(record, TYPES[topic])
    if topic == "loan.applications":
        assert decode_application(path.read_bytes()) == record


@pytest.mark.parametrize(
    "path", sorted(SCHEMAS.glob("examples/invalid/*.json")), ids=lambda p: p.stem
)
def test_invalid_example_is_refused_by_both(path: Path) -> None:
    """An invalid example is refused by schema and decoder, both at the field it names."""
    case = load(path)
    errors = list(validator(case["topic"]).iter_errors(case["value"]))
    assert len(errors) == 1
    error = errors[0]
    steps = [str(step) for step in error.absolute_path]
    if error.validator == "required":
        steps += re.findall(r"^'([^']+)'", error.message)
    assert case["field"] == ".".join(steps)
    value = json.dumps(case["value"]).encode()
    leaf = case["field"].split(".")[-1]
    if case["topic"] == "loan.applications":
        with pytest.raises(PoisonError) as refused:
            decode_application(value)
        assert refused.value.field == case["field"]
    else:
        with pytest.raises(msgspec.ValidationError, match=leaf):
            msgspec.json.decode(value, type=TYPES[case["topic"]])


@pytest.mark.parametrize("sealer", [None, Sealer(bytes(32))], ids=["outline", "sealed"])
@pytest.mark.parametrize("size", [10, 300_000])
def test_dead_letter_headers_validate(size: int, sealer: Sealer | None) -> None:
    """The headers the engine writes, sealed or an outline, cut or not, follow their schema."""
    record = Record("loan.applications", 3, 41, b"k", b"x" * size, [], 1_764_000_000_000)
    error = PoisonError("invalid", "term_months", "missing")
    _, headers = encode_dead_letter(record, error, 1_764_000_000_001, sealer)
    named = {name: value.decode() for name, value in headers}
    check = validator("loan.applications.dlq.headers")
    assert [fault.message for fault in check.iter_errors(named)] == []
    assert (sealer is not None and size > 256 * 1024) == ("x-truncated" in named)
    assert (sealer is None) == ("x-origin-outline" in named)


def test_record_headers_validate() -> None:
    """The CloudEvents headers follow their schema."""
    headers = cloud_event("loan.application.v1", "/channels/h5", "app-1", "2026-11-24T08:00:00Z")
    named = {name: value.decode() for name, value in headers}
    assert list(validator("record.headers").iter_errors(named)) == []


def test_audit_headers_validate() -> None:
    """The chain headers of an audit record and the signature of a checkpoint follow theirs."""
    record = Record("loan.applications", 3, 41, b"k", b"x", [], 1_764_000_000_000)
    error = PoisonError("invalid", "term_months", "missing")
    value, headers = encode_dead_letter_audit(record, error, 1_764_000_000_001)
    head = link(GENESIS, 3, b"k", value)
    named = {name: text.decode() for name, text in headers + chain_headers(head, GENESIS)}
    assert list(validator("decision.audit.headers").iter_errors(named)) == []
    checkpoint = Checkpoint(3, 1, 41, head.sha256.hex(), "2026-11-24T08:00:00Z", "0" * 16)
    _, _, headers = encode_checkpoint(checkpoint, new_private_key())
    named = {name: text.decode() for name, text in headers}
    assert list(validator("decision.audit.checkpoints.headers").iter_errors(named)) == []


def test_control_headers_validate() -> None:
    """The signed headers of a command follow their schema."""
    _, _, headers = encode_command(command(), KEY)
    named = {name: text.decode() for name, text in headers}
    assert list(validator("decision.control.headers").iter_errors(named)) == []
