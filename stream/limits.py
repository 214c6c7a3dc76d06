"""Every bound of the engine, with its unit and its reason."""

from __future__ import annotations

RECORD_BYTES_MAX = 64 * 1024
"""Largest application read; a real one is under 2 kB, so 64 kB is a mistake or an attack."""

JSON_DEPTH_MAX = 16
"""Deepest nesting accepted; an application nests 2 deep, and deep input costs stack."""

DEAD_LETTER_BYTES_MAX = 256 * 1024
"""Most original bytes a dead letter keeps; beyond it, a hash and the first part."""

BATCH_RECORDS_MAX = 500
"""Records per transaction: past 500 the commit's share of a decision's cost is below 5 %."""

POLL_TIMEOUT_MS = 5
"""How long a poll waits for the first record; short, so an idle engine answers at once."""

TRANSACTION_TIMEOUT_MS = 15_000
"""A dead worker's open transaction is aborted by the broker after this and unblocks readers."""

TRANSACTION_STEP_SECONDS = 10.0
"""Longest a single transaction call may take before its outcome counts as unknown."""

SESSION_TIMEOUT_MS = 10_000
"""A silent worker loses its partitions after this; three heartbeats of 3 s fit."""

RESTORE_SECONDS_MAX = 300.0
"""Longest a partition's ledger may take to restore before the worker stops loudly."""

STORE_READY_SECONDS_MAX = 600.0
"""Longest start waits for the store to reach the topic ends."""

DRAIN_SECONDS_MAX = 8.0
"""After SIGTERM, one batch and one commit fit; 2 s remain of the promised 10 s."""

CLOCK_SKEW_MS_MAX = 300_000
"""How far in the future `submitted_at` may lie: five minutes of clock skew."""

KEEPER_BATCH_RECORDS_MAX = 10_000
"""Store updates per store transaction: bulk load is bound by commits below some thousands."""

STORE_MAP_BYTES = 32 * 1024**3
"""Address space of the store; sparse on disk, three times the 120-million-entry store."""

REASONS_MAX = 4
"""Reasons on a decision (Regulation B commentary: more than four help nobody)."""

DECIDE_WITHIN_MS = 600_000
"""The ten minutes: default deadline after `submitted_at`."""

if not TRANSACTION_STEP_SECONDS * 1000 < TRANSACTION_TIMEOUT_MS:
    raise AssertionError("a transaction step must time out before the broker aborts it")
if not RECORD_BYTES_MAX <= DEAD_LETTER_BYTES_MAX:
    raise AssertionError("an application that fits must fit into its dead letter")
