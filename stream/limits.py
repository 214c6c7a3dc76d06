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

PART_ROWS = 128
"""Rows that go through rules, model and encoding together: what they hold, some 10 kB each, then
stays in the processor's caches; the model gains nothing measurable from more."""

POLL_TIMEOUT_MS = 5
"""How long a poll waits for the first record; short, so an idle engine answers at once."""

TRANSACTION_TIMEOUT_MS = 15_000
"""A dead worker's open transaction is aborted by the broker after this and unblocks readers."""

COMMIT_SECONDS_MAX = 8.0
"""Offsets and commit together; after this the outcome of a transaction counts as unknown."""

STUCK_SECONDS = 2.0
"""Beyond the bound of a commit; a client that has not come back by then is taken to hang."""

OPEN_SECONDS_MAX = 8.0
"""Longest one attempt to open a transactional producer may take; fencing waits on the broker."""

RETRY_SECONDS = 1.0
"""Between two attempts to recover; a broker that restarts takes seconds."""

HOLD_SECONDS = 5.0
"""How long a partition stands still after an output topic refused it, before the next try."""

BATCH_SECONDS_TARGET = 1.0
"""A batch that takes longer is halved, one that takes less grows back: slow models, small
transactions, so that none reaches the transaction's time-out."""

SESSION_TIMEOUT_MS = 10_000
"""A silent worker loses its partitions after this; three heartbeats of 3 s fit."""

METADATA_REFRESH_MS = 10_000
"""How soon a worker sees that partitions were added: until then what lies there is not read."""

LEDGER_WINDOW_MS = 90 * 86_400_000
"""How far back a ledger reaches: ids are recognised and promises counted for 90 days, three
times the retention of `loan.applications`; after that bureau and offer carry what is owed."""

SNAPSHOT_DECISIONS = 200_000
"""Decisions of a worker between two snapshots of its ledgers: about a second of restoring."""

SNAPSHOT_SECONDS = 1.0
"""What must be left to begin one when partitions are given up: 200,000 ids take 0.12 to 0.32 s."""

CONSUMER_QUEUE_KILOBYTES = 16 * 1024
"""Records fetched ahead; with the broker a batch away, 16 MB is some ten batches."""

RESTORE_STILL_SECONDS_MAX = 60.0
"""Longest a restore may read nothing before it is said to be stuck and begun anew. An open
transaction of a dead worker, which it waits out, ends within 25 s. How long all of it takes has no
bound: the worker goes on asking for records, so the group keeps it, and says that it lives."""

SERVE_SECONDS = 1.0
"""How often a restore serves the group: often for 60 s without a poll, rarely for its reading."""

STORE_READY_SECONDS_MAX = 600.0
"""Longest start waits for the store to reach the topic ends."""

LEAVE_SECONDS_MAX = 10.0
"""The one deadline of going: from SIGTERM to the end of the engine, and from the group's call to
give partitions up until they are given up. All that is still to be done shares it; nothing has a
time of its own beyond what is left. One batch and one commit fit. It is no longer than the session
time-out, so a worker that goes slowly holds nobody up for longer than one that died; the group
itself waits for `MAX_POLL_INTERVAL_MS`. A manager of containers must wait longer before it kills:
`deploy/compose.yaml` says 15 s, Kubernetes 30 s by default."""

REAP_SECONDS = 0.5
"""The last of it, twice: a process has until 9 s, then the supervisor kills it, and ends by 10."""

MAX_POLL_INTERVAL_MS = 60_000
"""A worker that has not asked for records for this long loses its place. The longest it may be busy
at a time is a commit that hangs and two producers to be opened, 26 s; while it restores it goes on
asking. Longer than the probe's 30 s: a loop that hangs is started again in its place first."""

CLOCK_SKEW_MS_MAX = 300_000
"""How far in the future `submitted_at` may lie: five minutes of clock skew."""

KEEPER_BATCH_RECORDS_MAX = 10_000
"""Store updates per store transaction: bulk load is bound by commits below some thousands."""

STORE_MAP_BYTES = 32 * 1024**3
"""Address space of the store; sparse on disk, three times the 120-million-entry store."""

REASONS_MAX = 4
"""Reasons on a decision (Regulation B commentary: more than four help nobody)."""

REASON_LOG_ODDS_MIN = 0.01733
"""A family is named from one point on: ln 2 / 40, where 40 points double the odds, as in all
shipped models. Regulation B asks for the *principal* reasons (12 CFR 1002.9 (b) (2)) and gives no
number; the score is told in whole points, so what weighs less than one cannot be seen in it."""

DECIDE_WITHIN_MS = 600_000
"""The ten minutes: default deadline after `submitted_at`."""

COUNTERSIGN_MS_MAX = 86_400_000
"""How long a command of two may wait for its second signature: a working day and the night."""

MODEL_FILE_BYTES_MAX = 4 * 1024 * 1024
"""Largest file of a model; the largest shipped has 111 kB, and looking into 4 MB takes seconds."""

if not COMMIT_SECONDS_MAX * 1000 < TRANSACTION_TIMEOUT_MS:
    raise AssertionError("a commit must time out before the broker aborts its transaction")
if not COMMIT_SECONDS_MAX < LEAVE_SECONDS_MAX - 2 * REAP_SECONDS:
    raise AssertionError("the last commit must fit into what a process has to end")
if not LEAVE_SECONDS_MAX * 1000 <= SESSION_TIMEOUT_MS < MAX_POLL_INTERVAL_MS:
    raise AssertionError("the group must not have to wait longer for one who goes than for a dead")
if not RECORD_BYTES_MAX <= DEAD_LETTER_BYTES_MAX:
    raise AssertionError("an application that fits must fit into its dead letter")
