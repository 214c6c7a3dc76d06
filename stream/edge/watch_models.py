"""The training rows of every model on this host, as their signed manifests have them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from structlog.typing import FilteringBoundLogger

from stream.config import Settings
from stream.edge.model_folder import open_model, trusted_keys
from stream.errors import ModelError
from stream.scoring.manifest import MANIFEST_FILE
from stream.scoring.reference import Reference
from stream.watch.drift import POINTS

SCAN_SECONDS = 60.0
"""A model that is not here is looked for this often: it may have been pushed since."""


class WatchedModels:
    """References by the hash of the model file; new folders are found when they are asked for."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        """Open whatever a trusted key has signed."""
        self._folder, self._trusted, self._log = settings.models_dir, trusted_keys(settings), log
        self.references: dict[str, Reference] = {}
        self.unknown_at_scan = 0
        self._segments: dict[str, str] = {}
        self._scanned_at = 0.0
        self._read()

    def series(self) -> Iterator[tuple[str, list[str]]]:
        """Segment and series of each model."""
        for sha256, reference in self.references.items():
            yield self._segments[sha256], [POINTS, *reference.features]

    def scan(self, unknown: int) -> None:
        """Look for new folders, as so many decisions were by models not known here."""
        if time.monotonic() - self._scanned_at >= SCAN_SECONDS:
            self.unknown_at_scan = unknown
            self._read()

    def _read(self) -> None:
        self._scanned_at = time.monotonic()
        for file in sorted(self._folder.glob(f"*/*/{MANIFEST_FILE}")):
            try:
                opened = open_model(file.parent, self._trusted)
            except ModelError as error:
                self._log.warning("model_not_watched", problem=error.message)
                continue
            manifest = opened.manifest
            if manifest.reference is None:
                folder = f"{manifest.model_id}/{manifest.version}"
                self._log.warning("model_not_watched", problem=f"{folder}: no training rows")
                continue
            self.references[opened.manifest_sha256] = manifest.reference
            self._segments[opened.manifest_sha256] = manifest.segment.value
