"""Kafka's frames as the fault proxy needs them: who asks what, and answers with an error."""

from __future__ import annotations

import struct
from asyncio import IncompleteReadError, StreamReader
from enum import IntEnum
from typing import Any, NamedTuple

from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import group
from kafka.protocol.data_container import DataContainer
from kafka.protocol.producer import produce, transaction

_HEADER = struct.Struct(">hhih")
_INT32 = struct.Struct(">i")


class Api(IntEnum):
    """The requests of a transactional engine, by their number on the wire."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS = 24
    ADD_OFFSETS = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


_ANSWERS: dict[int, type[ApiMessage]] = {
    Api.PRODUCE: produce.ProduceResponse,
    Api.OFFSET_FETCH: group.OffsetFetchResponse,
    Api.JOIN_GROUP: group.JoinGroupResponse,
    Api.HEARTBEAT: group.HeartbeatResponse,
    Api.SYNC_GROUP: group.SyncGroupResponse,
    Api.INIT_PRODUCER_ID: transaction.InitProducerIdResponse,
    Api.ADD_PARTITIONS: transaction.AddPartitionsToTxnResponse,
    Api.ADD_OFFSETS: transaction.AddOffsetsToTxnResponse,
    Api.END_TXN: transaction.EndTxnResponse,
    Api.TXN_OFFSET_COMMIT: transaction.TxnOffsetCommitResponse,
}
CAN_FAIL = frozenset(_ANSWERS)
"""The requests whose answer can be given an error code."""


class _Echo(NamedTuple):
    """Where a request names partitions, and what its answer calls them."""

    request: type[ApiMessage]
    asked_topics: str
    asked_partitions: str
    topics: str
    partitions: str
    index: str


_ECHOES: dict[int, _Echo] = {
    Api.PRODUCE: _Echo(
        produce.ProduceRequest,
        "topic_data", "partition_data",
        "responses", "partition_responses", "index",
    ),
    Api.ADD_PARTITIONS: _Echo(
        transaction.AddPartitionsToTxnRequest,
        "v3_and_below_topics", "partitions",
        "results_by_topic_v3_and_below", "results_by_partition", "partition_index",
    ),
    Api.TXN_OFFSET_COMMIT: _Echo(
        transaction.TxnOffsetCommitRequest,
        "topics", "partitions",
        "topics", "partitions", "partition_index",
    ),
}  # fmt: skip


class Request(NamedTuple):
    """One request: the head of its frame, and the frame without its length."""

    api: int
    version: int
    correlation: int
    client: str
    frame: bytes

    @classmethod
    def of(cls, frame: bytes) -> Request:
        """Read the head of a frame."""
        api, version, correlation, length = _HEADER.unpack_from(frame)
        name = frame[_HEADER.size : _HEADER.size + max(0, length)].decode()
        return cls(api, version, correlation, name, frame)


async def read_frame(reader: StreamReader) -> bytes | None:
    """The next frame without its length; None at the end of the connection."""
    try:
        (size,) = _INT32.unpack(await reader.readexactly(_INT32.size))
        return await reader.readexactly(size)
    except (IncompleteReadError, ConnectionError):
        return None


def framed(payload: bytes) -> bytes:
    """The payload with its length before it."""
    return _INT32.pack(len(payload)) + payload


def correlation_of(answer: bytes) -> int:
    """Which request an answer is to."""
    number: int = _INT32.unpack_from(answer)[0]
    return number


def with_error(request: Request, answer: bytes, code: int) -> bytes:
    """The broker's answer with every error code in it replaced."""
    message = _ANSWERS[request.api][request.version].decode(answer, header=True)
    _set_error(message, code)
    return bytes(message.encode(header=True))


def error_answer(request: Request, code: int) -> bytes:
    """An answer of the proxy's own to a request the broker never saw."""
    if request.api == Api.OFFSET_FETCH:
        raise ValueError("an OffsetFetch changes nothing: let it through and change its answer")
    message = _ANSWERS[request.api](version=request.version)
    if request.api in _ECHOES:
        _name_partitions(message, request)
    message.with_header(correlation_id=request.correlation)
    _set_error(message, code)
    return bytes(message.encode(header=True))


def _name_partitions(message: ApiMessage, request: Request) -> None:
    """Repeat the topics and partitions of the request in its answer."""
    echo = _ECHOES[request.api]
    asked: Any = echo.request[request.version].decode(request.frame, header=True)
    topic_kind = message._struct.fields[echo.topics].data_class
    partition_kind = topic_kind._struct.fields[echo.partitions].data_class
    topics = []
    for topic in getattr(asked, echo.asked_topics):
        numbers = [getattr(p, echo.index, p) for p in getattr(topic, echo.asked_partitions)]
        parts = [partition_kind(version=request.version, **{echo.index: n}) for n in numbers]
        topics.append(
            topic_kind(version=request.version, name=topic.name, **{echo.partitions: parts})
        )
    setattr(message, echo.topics, topics)


def _set_error(part: DataContainer, code: int) -> None:
    """Set the error code of a message and of everything in it that has one."""
    for name in part.fields:
        value = getattr(part, name)
        if name in ("error_code", "partition_error_code"):
            setattr(part, name, code)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, DataContainer):
                    _set_error(each, code)
