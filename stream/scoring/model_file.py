"""A model file as it stands: the one operator it holds, read without running anything.

What is not listed here is refused, wherever it is: an operator of another name,
tensors beside the operator or outside the file, functions, training parts, fields
of later releases. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stream.scoring.manifest import ML_DOMAIN
from stream.scoring.wire import (
    Field,
    content,
    fields,
    integer,
    integers,
    numbers,
    reals,
    text,
)

OPERATOR: Final = "TreeEnsembleRegressor"

_MODEL = {1: "ir_version", 2: "producer", 3: "producer_version", 4: "domain", 5: "model_version",
          6: "doc", 7: "graph", 8: "opset", 14: "metadata"}  # fmt: skip
_GRAPH = {1: "node", 2: "name", 10: "doc", 11: "input", 12: "output"}
_OUTSIDE_THE_NODE = {5: "initializer", 15: "sparse_initializer"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 6: "doc", 7: "domain"}
_ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "tensor", 7: "floats", 8: "ints",
              9: "strings", 13: "doc", 20: "type"}  # fmt: skip
_TENSOR = {1: "dims", 2: "data_type", 4: "floats", 8: "name", 9: "raw", 10: "doubles"}
_TENSOR_OUTSIDE = (13, 14)
_TENSOR_CODES = {1: "f", 11: "d"}


Values = list[int] | list[float] | list[str]


class OddModelError(ValueError):
    """Something in the file that a model of ours does not have."""


class ModelFile(NamedTuple):
    """What stands in a model file."""

    ir_version: int
    opset: dict[str, int]
    metadata: dict[str, str]
    attributes: dict[str, Values]


def read_model_file(message: bytes) -> ModelFile:
    """The parts of a model file; OddModelError or WireError for any other file."""
    once: dict[str, Field] = {}
    opset: dict[str, int] = {}
    metadata: dict[str, str] = {}
    for field in fields(message):
        name = _named(field, _MODEL, "the model")
        if name == "opset":
            domain, version = _pair(field)
            if not version.isdecimal():
                raise OddModelError("an operator set has no version")
            opset[domain or "ai.onnx"] = int(version)
        elif name == "metadata":
            key, value = _pair(field)
            if key in metadata:
                raise OddModelError("its metadata has a key twice")
            metadata[key] = value
        elif name in once:
            raise OddModelError(f"holds {name} twice")
        else:
            once[name] = field
    if "graph" not in once or "ir_version" not in once:
        raise OddModelError("has no graph or no format version")
    node = _only_node(content(once["graph"]))
    return ModelFile(integer(once["ir_version"]), opset, metadata, _attributes(node))


def _only_node(graph: bytes) -> bytes:
    """The one operator of the graph."""
    nodes = []
    for field in fields(graph):
        if field[0] in _OUTSIDE_THE_NODE:
            raise OddModelError("keeps tensors beside its operator, or outside the file")
        if _named(field, _GRAPH, "the graph") == "node":
            nodes.append(content(field))
    if len(nodes) != 1:
        raise OddModelError(f"has {len(nodes)} operators, not one {OPERATOR}")
    given = {_named(f, _NODE, "the operator"): text(f) for f in fields(nodes[0]) if f[0] in (4, 7)}
    if (given.get("domain"), given.get("op_type")) != (ML_DOMAIN, OPERATOR):
        raise OddModelError(f"its operator is not {OPERATOR} of {ML_DOMAIN}")
    return nodes[0]


def _attributes(node: bytes) -> dict[str, Values]:
    """Every attribute of the operator by name, tensors as lists under the plain name."""
    found: dict[str, Values] = {}
    for field in fields(node):
        if _named(field, _NODE, "the operator") != "attribute":
            continue
        name, values = _attribute(content(field))
        plain = name.removesuffix("_as_tensor")
        if plain in found:
            raise OddModelError(f"has the attribute {plain} twice")
        found[plain] = values
    return found


def _attribute(message: bytes) -> tuple[str, Values]:
    name, ints, floats, strings = "", list[int](), list[float](), list[str]()
    for field in fields(message):
        match _named(field, _ATTRIBUTE, "an attribute"):
            case "name":
                name = text(field)
            case "i" | "ints":
                ints += integers(field)
            case "f" | "floats":
                floats += numbers(field)
            case "s" | "strings":
                strings.append(text(field))
            case "tensor":
                floats += _tensor(content(field))
    if sum(map(bool, (ints, floats, strings))) > 1:
        raise OddModelError(f"its attribute {name[:40]} has values of two kinds")
    return name, ints or floats or strings


def _tensor(message: bytes) -> list[float]:
    """The numbers of a tensor inside the file."""
    kind, values, raw = 0, list[float](), b""
    for field in fields(message):
        if field[0] in _TENSOR_OUTSIDE:
            raise OddModelError("refers to data outside the file")
        match _named(field, _TENSOR, "a tensor"):
            case "data_type":
                kind = integer(field)
            case "floats":
                values += numbers(field)
            case "doubles":
                values += numbers(field, double=True)
            case "raw":
                raw = content(field)
    if kind not in _TENSOR_CODES:
        raise OddModelError("has a tensor that is neither float nor double")
    return values + list(reals(raw, _TENSOR_CODES[kind]))


def _pair(field: Field) -> tuple[str, str]:
    """The two fields of an operator set or of a metadata entry, as text."""
    found = {1: "", 2: ""}
    for part in fields(content(field)):
        number, _, value = part
        if number not in found:
            raise OddModelError(f"a pair has field {number}")
        found[number] = str(value) if isinstance(value, int) else text(part)
    return found[1], found[2]


def _named(field: Field, names: dict[int, str], where: str) -> str:
    try:
        return names[field[0]]
    except KeyError:
        raise OddModelError(f"{where} has field {field[0]}, which no model of ours has") from None
