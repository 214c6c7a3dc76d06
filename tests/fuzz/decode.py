"""Coverage-guided fuzzing of everything a record's bytes reach: decode, envelope, pipeline.

Run by `python tests/fuzz/run.py`, or alone with libFuzzer's options. An input is
a finding when anything but a decision or a dead letter comes of it, when a
decoded application does not survive its own encoding, or when it takes over
100 ms of this process's CPU time, which no neighbour on the machine lengthens.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

with atheris.instrument_imports(include=["stream", "json"]):
    from corpus.bench import answer
    from corpus.making import CANARY, SOUND

    from stream.codec.application_v1 import decode_application, encode_application
    from stream.domain.topics import EVENTS, REVIEWS
    from stream.errors import PoisonError

from builders import raw  # noqa: E402 (after what is instrumented)

SECONDS_MAX = 0.1
SLOWEST = "SLOWEST_MS_FILE"
"""Names the file that keeps the CPU milliseconds of the slowest input so far."""

_ODD: list[Any] = [
    None, True, -1, 0, 10**13 + 1, 1.5, "", "x" * 100, [], {}, CANARY, "2026-11-24T08:00:00Z",
    "1970-01-01T00:00:00Z", float("nan"),
]  # fmt: skip
_slowest = 0.0
_checked = 0


def check(data: bytes) -> None:
    """One input, as the value of a record and as what surrounds it."""
    global _checked  # noqa: PLW0603 (libFuzzer calls a function; this is its only memory)
    _checked += 1
    if _checked % 1_000 == 0:
        gc.collect()  # as the engine does it: between batches, not within
    began = time.process_time()
    try:
        application = decode_application(data)
    except PoisonError as error:
        _refuse(CANARY in str(error), "a message repeats the input")
    else:
        again = decode_application(encode_application(application))
        _refuse(application != again, "an application does not survive its encoding")
    records = [
        raw(data),
        raw(SOUND, key=data[:64]),
        raw(SOUND, headers=[("schema_version", data[:64])]),
    ]
    got = answer(*records)
    became = len(got.decisions) + len(got.letters) + got.repeats + got.strays
    _refuse(became != len(records), f"{became} answers to {len(records)} records")
    for topic in (EVENTS, REVIEWS):
        answer(raw(data)._replace(topic=topic))
    _keep_time(time.process_time() - began)


def _keep_time(seconds: float) -> None:
    global _slowest  # noqa: PLW0603 (libFuzzer calls a function, and this is its only memory)
    if seconds > _slowest:
        _slowest = seconds
        if SLOWEST in os.environ:
            Path(os.environ[SLOWEST]).write_text(f"{seconds * 1000:.1f}", encoding="ascii")
    _refuse(seconds > SECONDS_MAX, f"{seconds * 1000:.0f} ms of CPU for one input")


def _refuse(found: bool, what: str) -> None:
    if found:
        raise AssertionError(what)


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    """Half of the time libFuzzer's bytes; else one field dropped, replaced, doubled or nested."""
    chance = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not document or chance.random() < 0.5:
        return bytes(atheris.Mutate(data, size_max))
    holder = document
    inner = [part for part in document.values() if isinstance(part, dict) and part]
    if inner and chance.random() < 0.4:
        holder = chance.choice(inner)
    key = chance.choice(sorted(holder))
    kind = chance.choice(("drop", "replace", "rename", "nest", "double"))
    if kind == "double":
        member = json.dumps({key: holder[key]})[1:-1]
        return (json.dumps(document)[:-1] + f",{member}}}").encode("utf-8", "replace")[:size_max]
    value = holder.pop(key)
    if kind == "replace":
        holder[key] = chance.choice(_ODD)
    elif kind == "rename":
        holder[chance.choice((key.upper(), key + "_", "__proto__", ""))] = value
    elif kind == "nest":
        holder[key] = {key: value}
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    return text.encode("utf-8", "replace")[:size_max]


if __name__ == "__main__":
    gc.disable()
    answer(raw(SOUND))  # models and policy are loaded once, and not by the first input
    gc.freeze()
    atheris.Setup(sys.argv, check, custom_mutator=mutate)
    atheris.Fuzz()
