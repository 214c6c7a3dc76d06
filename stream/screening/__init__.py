"""Screening: who is on the whitelist, from profiles, models and policy, in columns."""
