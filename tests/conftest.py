"""Lying here, this file puts `tests/` on the import path: shared cases are plain modules."""
