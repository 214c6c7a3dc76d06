"""Conformance kits: other teams run them against their own programs, on topics of the test."""
