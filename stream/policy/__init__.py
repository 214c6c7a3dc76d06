"""Pure rules: records in, an outcome with its reasons out."""
