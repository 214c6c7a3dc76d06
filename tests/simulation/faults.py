"""What the model answers when it refuses, and how bad the weather of one run is."""

from __future__ import annotations

from random import Random


class Fault(Exception):  # noqa: N818 - a broker's answer, named as Kafka names it
    """A refusal, with Kafka's name of it."""

    def __init__(self, name: str, topic: str | None = None) -> None:
        super().__init__(name)
        self.name, self.topic = name, topic


class NoAnswer(Exception):  # noqa: N818 - what a client sees of a lost request or answer
    """Nothing came back in time: nobody knows whether it was done."""


class Disconnected(NoAnswer):
    """The connection broke: the request may still arrive, its answer never will."""


KINDS = ("lose_request", "lose_answer", "late_request", "late_answer", "twice", "slow_marker",
         "late_end", "disconnect")  # fmt: skip


class Weather:
    """How likely each fault of the network is in this run; a seed rarely has them all."""

    def __init__(self, random: Random) -> None:
        worst = random.choice((0.0, 0.02, 0.05, 0.15))
        self.odds = {kind: random.choice((0.0, worst)) * random.random() for kind in KINDS}
        # The fault KIP-890 is about: frequent in some runs, where it has a chance to do harm.
        self.odds["late_end"] = random.choice((0.0, worst, 0.3)) * random.random()
        self.blow(1.0)
        self.travel_ms = random.choice((4, 4, 20, 80, 250))

    def blow(self, storm: float) -> None:
        """Make each fault this many times as likely as the run has it."""
        self.of = {kind: min(0.8, odds * storm) for kind, odds in self.odds.items()}

    def heal(self) -> None:
        """From now on the network does what it should."""
        self.odds = dict.fromkeys(KINDS, 0.0)
        self.blow(1.0)
        self.travel_ms = 4
