"""The disbursement kit from topics to verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from stream.config import Settings
from stream.conform.cast import Cast
from stream.conform.judge import judge
from stream.conform.rules import RULES
from stream.conform.scenes import SCENES, play
from stream.conform.stage import Pause, Plan, Stage
from stream.conform.testtopics import prepare
from stream.conform.verdict import Finding
from stream.conform.watch import Watcher
from stream.errors import ConfigError

ASK = """\
Your consumer, set up like this, is what is tested:
  bootstrap.servers   {bootstrap}
  reads               {decisions} ({partitions} partitions), group of its own, a fresh payment store
  isolation.level     read_committed
  auto.offset.reset   earliest
  enable.auto.commit  false; it commits after a payment is stored
  announces           each payment on {outcomes}: event disbursed, key applicant_token, murmur2
Start it now if it does not run. No decision here is real: synthetic is true, pay nobody."""


def scenes_named(names: Sequence[str]) -> list[str]:
    """The scenes to play, all when none is named; ConfigError for one there is not."""
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        raise ConfigError(f"no scenario {unknown[0]}", fix=f"one of: {', '.join(SCENES)}")
    return list(names or SCENES)


def conform_disbursement(
    settings: Settings,
    plan: Plan,
    scenes: list[str],
    say: Callable[[str], None],
    pause: Pause,
) -> list[Finding]:
    """Play the scenes to the consumer under test and judge what it announced."""
    partitions = prepare(settings, plan.decisions_topic)
    outcome_partitions = prepare(settings, plan.outcomes_topic)
    say(
        ASK.format(
            bootstrap=settings.bootstrap,
            decisions=plan.decisions_topic,
            outcomes=plan.outcomes_topic,
            partitions=partitions,
        )
    )
    cast = Cast(uuid4().hex[:8], partitions)
    with Watcher(settings, plan.outcomes_topic, outcome_partitions) as watcher:
        stage = Stage(settings, plan, cast, watcher, pause)
        if plan.restart_command is not None:
            say("the restart command starts it")
            stage.restart("start")
        if not play(stage, scenes, say):
            missing = f"nothing announced within {plan.timeout_seconds:g} s"
            ids = tuple(case.decision_id for case in stage.played.cases)
            return [Finding("connected", False, missing, *RULES["connected"], ids)]
        return judge(stage.played, watcher.seen(), outcome_partitions)
