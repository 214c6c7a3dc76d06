"""What the verbs of the lab say where the packages they need are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stream.errors import ConfigError


@contextmanager
def train_extra(what: str) -> Iterator[None]:
    """Around the imports of a verb; ConfigError names the package that `what` lacks."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"{what} the package {error.name}", fix="pip install 'ten-minute-loan[train]'"
        ) from error
