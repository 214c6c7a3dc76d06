"""Which list a screening takes up: its own version, from its own rules, or a lower one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import entry

from stream.config import load_settings
from stream.edge import screen_list
from stream.edge.screen_book import ScreenBook
from stream.edge.screen_list import Maker, ScreenList
from stream.errors import ConfigError
from stream.screening.batch import Held

TOKEN = b"a1_" + b"0" * 32


class Offer:
    """A message with an entry of list version 2, made by the rules `rules`."""

    def key(self) -> bytes:
        return TOKEN

    def value(self) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(entry(), list_version=2))

    def headers(self) -> list[tuple[str, bytes]]:
        return [(screen_list.MADE_BY, b"rules")]

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return 0

    def partition(self) -> int:
        return 0


class OneOffer:
    """A client of a partition that holds one offer."""

    def __init__(self, *_given: object, **_more: Any) -> None:
        pass

    def get_watermark_offsets(self, _place: object, timeout: float) -> tuple[int, int]:
        return 0, 1

    def assign(self, _places: object) -> None:
        pass

    def consume(self, _count: int, _seconds: float) -> list[Offer]:
        return [Offer()]


@pytest.fixture(autouse=True)
def one_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_list, "consumer", OneOffer)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ScreenBook]:
    opened = ScreenBook(tmp_path, "topic")
    yield opened
    opened.close()


def take_up(book: ScreenBook, version: int, digest: str) -> None:
    """Bring the book level as a screening of this version and these rules."""
    started = ScreenList(load_settings(), "group", Maker(version, digest))
    started.begin(0, book)
    started.step()
    assert started.is_level


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize(("version", "digest"), [(1, "older"), (2, "other")])
def test_going_back_is_refused(
    book: ScreenBook, version: int, digest: str, *, is_read: bool
) -> None:
    """A lower version, or the same from other rules, also where the book has read past it."""
    if is_read:
        take_up(book, 2, "rules")
    with pytest.raises(ConfigError, match="list"):
        take_up(book, version, digest)


def test_going_on_is_not(book: ScreenBook) -> None:
    """The same rules start again, and a higher version takes over."""
    for version, digest in ((2, "rules"), (2, "rules"), (3, "other")):
        take_up(book, version, digest)
    assert (len(book), book.made_by) == (1, (2, "rules"))


def test_a_book_ahead_of_its_topic_is_read_anew(book: ScreenBook) -> None:
    """Who stands in it and no more in the topic is forgotten."""
    book.write([(b"lost", Held(1, 2))], offset=99)
    take_up(book, 2, "rules")
    assert (book.standing([b"lost"]), len(book), book.offset) == ([None], 1, 1)
