"""Conformance kit for the disbursement team: how to consume decisions and pay each once."""
