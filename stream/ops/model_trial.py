"""`tenminute model trial`: how a challenger does, and its end when it does harm.

It reads decisions and outcomes from their beginning and keeps nothing on disk: a trial is
judged on all that the topics hold of it. What it concludes reaches the workers as a
signed command on `decision.control` that takes the challenger out of its place, as `model
canary --off` writes it. It never puts a model anywhere.
"""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from threading import Event
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.typing import FilteringBoundLogger

from stream.codec.decision_v1 import decision_audit
from stream.config import Settings
from stream.domain.control import Switches
from stream.domain.lineup import Alias
from stream.domain.outcome import LoanOutcome
from stream.domain.topics import AUDIT
from stream.edge.watch_feed import WatchFeed, read_to_ends
from stream.errors import BrokerError, ConfigError
from stream.ops import control
from stream.ops.model_place import Place, facts_of
from stream.policy.load import load_policy
from stream.ports import Record
from stream.trials.book import Trial, TrialBook, TrialKey
from stream.trials.report import report
from stream.trials.rules import Evidence, Rule, TrialTerms, harms, p_values

READ_SECONDS: Final = 0.5
ISSUER: Final = "trial"
_outcome = msgspec.json.Decoder(LoanOutcome)


class TrialDesk:
    """Follows the trials of one model."""

    def __init__(
        self,
        settings: Settings,
        model: str,
        terms: TrialTerms,
        private: Ed25519PrivateKey | None,
        log: FilteringBoundLogger,
    ) -> None:
        """Without a key it only says what it would command."""
        self._settings, self._model, self._terms = settings, model, terms
        self._private, self._log = private, log
        self.book = book_for(settings, model)
        self._feed = WatchFeed(settings, [], log)
        self._said: tuple[TrialKey, list[Rule]] | None = None
        self._heard = 0

    def close(self) -> None:
        """Let go of the broker."""
        self._feed.close()

    def once(self, seconds: float) -> dict[str, Any]:
        """Read to the ends as of now and say how the newest trial stands; commands nothing."""
        read_to_ends(self._feed, seconds, self._read, "it run with --watch")
        trial = self.book.newest
        if trial is None:
            return {"model": self._model, "trial": None, "due": "go on"}
        # Without any key no command can be believed, so it is not known.
        told = self._private is not None or bool(self._settings.control_key_files)
        in_force = stands(self._switches(), self._model, trial.key) if told else None
        found = report(self.book, trial, self._terms)
        return {"model": self._model, "in_force": in_force, **found}

    def run(self, stop: Event, every_seconds: float) -> None:
        """Judge again and again until told to stop, and end the trial in force when it is due."""
        judged_at, judged = 0.0, 0
        self._log.info("following_trials", model=self._model, orders=self._private is not None)
        while not stop.is_set():
            self._read()
            trial, at = self.book.newest, time.monotonic()
            due = at - judged_at >= every_seconds and (self._heard != judged or self._ends)
            if self._feed.caught_up and trial is not None and due:
                judged_at, judged = at, self._heard
                self.settle(trial)

    def settle(self, trial: Trial) -> None:
        """End the trial if a rule says so, it is in force, and there is a key to sign with."""
        chances = p_values(Evidence.of(self.book, trial), self._terms)
        found = harms(chances, self._terms)
        if (trial.key, found) != self._said:
            self._said = trial.key, found
            self._log.info(
                "trial_judged", model=self._model, **trial.key._asdict(), harms=found,
                applicants=trial.approval.count,
            )  # fmt: skip
        if not found or self._private is None:
            return
        try:
            self._end(trial, self._private)
        except BrokerError as error:  # the next look finds the same, and tries again
            self._log.warning("trial_command_failed", problem=error.message)

    @property
    def _ends(self) -> bool:
        """Whether the last look found harm: until the trial is over, every look tries again."""
        return self._said is not None and bool(self._said[1])

    def _end(self, trial: Trial, private: Ed25519PrivateKey) -> None:
        switches = self._switches()
        if not stands(switches, self._model, trial.key):
            return
        because = report(self.book, trial, self._terms)["because"]
        nobody = Place(self._model, Alias.CHALLENGER, None)
        facts = facts_of(self._settings, switches, nobody, because)
        command = control.make_command(facts, switches, ISSUER)
        offset = control.publish(self._settings, command, private)
        self._log.warning(
            "trial_stopped", model=self._model, because=because, command_id=command.command_id,
            offset=offset,
        )  # fmt: skip

    def _switches(self) -> Switches:
        trusted = control.trusted_of(self._settings, self._private)
        return control.look(self._settings, trusted).switches

    def _read(self) -> None:
        for record in self._feed.read(READ_SECONDS):
            self._heard += 1
            try:
                hear(self.book, record)
            except (msgspec.MsgspecError, ValueError) as error:
                self._feed.pass_over(record, error)


def hear(book: TrialBook, record: Record) -> None:
    """Count one record of either topic; msgspec's or ValueError for one that cannot be read."""
    if record.topic != AUDIT:
        book.hear_outcome(_outcome.decode(record.value or b""), record.timestamp_ms)
        return
    audit = decision_audit(record.value or b"")
    if audit is not None:
        book.hear_audit(audit)


def book_for(settings: Settings, model: str) -> TrialBook:
    """An empty book of the segments the model decides; ConfigError when it decides none."""
    held = load_policy(settings.policy_file).segments
    segments = {each: said for each, said in held.items() if said.model == model}
    if not segments:
        known = sorted({said.model for said in held.values()})
        raise ConfigError(f"the policy has no model {model}", fix=f"name one of {known}")
    largest = max(band.limit_fen for said in segments.values() for band in said.bands)
    return TrialBook(segments, largest)


def stands(switches: Switches, model: str, key: TrialKey) -> bool:
    """Whether that very challenger is in its place by command."""
    change = switches.aliases(model).challenger
    if change is None or change.version is None:
        return False
    found = change.version, change.share_bps, change.salt
    return found == (key.challenger, key.share_bps, key.salt)


def read_terms(file: Path | None) -> TrialTerms:
    """The terms of a TOML file; without one the shipped ones."""
    if file is None:
        return TrialTerms()
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), TrialTerms)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}", fix="name a readable TOML file") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}", fix="see docs/models.md") from None
