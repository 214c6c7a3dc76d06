"""The names of the topics: spelt here, once."""

from __future__ import annotations

from typing import Final

APPLICATIONS: Final = "loan.applications"
EVENTS: Final = "loan.application-events"
REVIEWS: Final = "loan.referral-outcomes"
DECISIONS: Final = "disbursement.decisions"
AUDIT: Final = "decision.audit"
CHECKPOINTS: Final = "decision.audit.checkpoints"
DEAD_LETTERS: Final = "loan.applications.dlq"
CONTROL: Final = "decision.control"
ACKS: Final = "decision.control.acks"
WHITELIST: Final = "whitelist.entries"
BUREAU: Final = "bureau.features"
OUTCOMES: Final = "loan.outcomes"
FUNNEL: Final = "loan.funnel"
PROFILES: Final = "customer.profiles"
CONTACTS: Final = "outreach.contacts"
RESPONSES: Final = "outreach.responses"

INPUTS: Final = (APPLICATIONS, EVENTS, REVIEWS)
"""What a worker reads; partition n of each belongs to the same people."""
