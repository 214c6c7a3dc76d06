"""The engine's kind of model on every public credit set at hand, beside its rivals."""
