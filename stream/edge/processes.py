"""What runs in each process of an engine: a keeper or a worker, built here from settings.

The supervisor starts them as `python -m stream.edge.processes keeper` and
`... worker INDEX`, so that a worker loads only what it decides with.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from stream.config import DEMO_RELEASE_KEYS, Settings, load_settings
from stream.edge.clients import consumer, unanswered
from stream.edge.garbage import settle_down
from stream.edge.inbox import CALL_SECONDS
from stream.edge.keeper import Keeper
from stream.edge.letter_keys import read_sealer
from stream.edge.lmdb_store import TOPICS, StoreReader
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import load_models
from stream.edge.patience import Patience
from stream.edge.shelf import ModelShelf
from stream.edge.signals import follow_parent, stop_event
from stream.edge.world import Local, check_copartitioned, open_world
from stream.errors import BrokerError, ConfigError, Exit, FatalError
from stream.limits import STORE_READY_SECONDS_MAX
from stream.obs.health import HealthFile
from stream.obs.logs import configure_logs
from stream.obs.metrics import EngineMetrics
from stream.policy.load import load_policy
from stream.switching import SwitchingPipeline
from stream.worker import Worker

TopicEnds = tuple[str, dict[tuple[str, int], int]]
"""A cluster's id, and the offset after the last record of topics and partitions."""


def run_keeper(settings: Settings) -> None:
    """Keep the store until told to stop."""
    stop = stop_event()
    metrics = EngineMetrics(CollectorRegistry())
    log = configure_logs("keeper", as_json=settings.log_json)
    patience = Patience(stop, HealthFile(settings.health_dir, "keeper", os.getpid()), log)
    keeper = patience.ask(lambda: Keeper(settings, metrics, log))
    if keeper is not None:
        keeper.run(stop)


def run_worker(settings: Settings, index: int) -> None:
    """Wait for the store, then decide until told to stop."""
    stop = stop_event()
    log = configure_logs(f"worker-{index}", as_json=settings.log_json)
    metrics = EngineMetrics(CollectorRegistry())
    policy = load_policy(settings.policy_file)
    keys = trusted_keys(settings)
    scorers = load_models(settings.models_dir, policy.models, keys)
    shelf = ModelShelf(settings.models_dir, keys, scorers, metrics.model_info)
    if settings.model_key_files == DEMO_RELEASE_KEYS:
        log.warning("models_of_the_demo", reason="no model_key_files: set your release's key")
    metrics.policy_info.labels(policy.policy_id).set(1)
    health = HealthFile(settings.health_dir, f"worker-{index}", os.getpid())
    patience = Patience(stop, health, log)
    patience.ask(lambda: check_copartitioned(settings))
    found = patience.ask(lambda: topic_ends(settings))
    store = wait_for_store(settings, found, health, stop) if found is not None else None
    if store is None:
        return
    models = {name: segment.model for name, segment in policy.segments.items()}
    local = Local(store, metrics, log, stop, patience, shelf)
    with store, open_world(settings, index, local, models) as world:
        sealer = read_sealer(settings)
        if sealer is None:
            log.warning("dead_letters_not_kept", reason="no dead_letter_key_file")
        pipeline = SwitchingPipeline(shelf, policy, sealer)
        settle_down()
        Worker(
            world,
            pipeline,
            partitions=settings.partitions,
            batch_records=settings.batch_records,
            stopping=stop.is_set,
        ).run()


def wait_for_store(
    settings: Settings, ends: TopicEnds, health: HealthFile, stop: threading.Event
) -> StoreReader | None:
    """The store once it is of the cluster and at the ends given; None when told to stop."""
    cluster_id, targets = ends
    deadline = time.monotonic() + STORE_READY_SECONDS_MAX
    store: StoreReader | None = None
    while not stop.wait(0.05):
        health.say("starting", ready=False, detail="waiting for the store")
        if time.monotonic() > deadline:
            raise ConfigError(
                f"store behind its topics after {STORE_READY_SECONDS_MAX} s",
                fix="look at the keeper's log",
            )
        if store is None:
            try:
                store = StoreReader(settings.store_dir)
            except ConfigError:
                continue
        if store.cluster_id() != cluster_id:  # another cluster's, about to be rebuilt
            store.close()
            store = None
            continue
        held = store.offsets()
        with store.reading() as views:
            fresh = views.fresh_at_ms > 0
        if fresh and all(held.get(place, 0) >= end for place, end in targets.items()):
            return store
    return None


def topic_ends(settings: Settings) -> TopicEnds:
    """The cluster's id, and the ends of the store's topics now; BrokerAwayError without answer."""
    looker = consumer(settings, f"{settings.group_id}-look")
    try:
        cluster = looker.list_topics(timeout=CALL_SECONDS)
        topics = cluster.topics
        missing = [topic for topic in TOPICS if topic not in topics]
        if missing:
            raise BrokerError(f"no topic {', '.join(missing)}", fix="run: tenminute topics apply")
        return str(cluster.cluster_id), {
            (topic, partition): looker.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=CALL_SECONDS
            )[1]
            for topic in TOPICS
            for partition in topics[topic].partitions
        }
    except KafkaException as error:
        raise unanswered(settings, error) from None
    finally:
        looker.close()


def main(arguments: list[str]) -> int:
    """Run the process named; a fault is one line in the log and an exit code."""
    follow_parent()
    settings = load_settings()
    try:
        if arguments == ["keeper"]:
            run_keeper(settings)
        else:
            run_worker(settings, int(arguments[1]))
    except FatalError as error:
        configure_logs(arguments[0], as_json=settings.log_json).error(
            "fatal", problem=error.message, fix=error.fix
        )
        return error.exit_code
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
