"""A TCP proxy that understands Kafka's framing and does harm on demand: a tool of the tests.

    with FaultProxy(port, broker.behind_proxy) as proxy:
        rule = proxy.on(Api.END_TXN, lose_answer(), nth(3))
        ...                      # clients use proxy.bootstrap
        rule.await_strikes()

The broker must advertise the proxy's port on its listener for proxied clients
(`EmbeddedBroker(folder, proxied_port=port)`), so that no client gets round it.
Requests and answers keep their order within a connection. What a client has
sent reaches the broker even when the client has gone meanwhile, as on a network.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from contextlib import suppress
from typing import Self

from faults.rules import Action, Rule, Trigger, every
from faults.wire import (
    Api,
    Request,
    correlation_of,
    error_answer,
    framed,
    read_frame,
    with_error,
)

START_SECONDS = 10.0
_PLAIN = Action()


class FaultProxy:
    """One listening port before one broker; a context manager."""

    def __init__(self, port: int, broker: str, seed: int = 0) -> None:
        """Stand before `broker` (host:port) on the loopback `port`; `seed` makes jitter repeat."""
        self.bootstrap = f"127.0.0.1:{port}"
        self.calls: Counter[int] = Counter()
        self.latency_seconds = 0.0
        self.jitter_seconds = 0.0
        self._blackholed: str | None = None
        self._port = port
        host, _, number = broker.rpartition(":")
        self.upstream = (host, int(number))
        self._random = random.Random(seed)
        self._rules: list[Rule] = []
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)

    def on(self, api: Api, action: Action, when: Trigger | None = None, client: str = "") -> Rule:
        """Do `action` to the calls of `api` chosen by `when` (default: every one).

        `client` narrows it to clients with this text in their client.id. The first rule that
        strikes a call wins, every matching rule up to it counts the call.
        """
        rule = Rule(api, action, when or every(), client)
        self._rules = [*self._rules, rule]
        return rule

    @property
    def rules(self) -> list[Rule]:
        """Every rule since the last `clear`."""
        return self._rules

    def clear(self) -> None:
        """Do no more harm; what is already delayed stays delayed.

        Raises what went wrong in the proxy itself, if anything did.
        """
        self._rules = []
        self._blackholed = None
        self.latency_seconds = self.jitter_seconds = 0.0
        errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    def blackhole(self, client: str = "") -> None:
        """From now on nothing passes for clients with this text in their client.id, until `heal`.

        Their connections stay open: a half-open network, without a FIN.
        """
        self._blackholed = client

    def heal(self) -> None:
        """Let everything pass again; what was swallowed stays unanswered."""
        self._blackholed = None

    def break_all(self) -> None:
        """Break every connection there is now."""
        self._loop.call_soon_threadsafe(lambda: [link.break_client() for link in self._links])

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        assert self._listening.wait(START_SECONDS), f"cannot listen at {self.bootstrap}"
        return self

    def __exit__(self, *_: object) -> None:
        """Break every connection and stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)

    def decide(self, request: Request) -> Action:
        """What to do with a request; counts it."""
        self.calls[request.api] += 1
        for rule in self._rules:
            action = rule.take(request)
            if action is not None:
                return action
        return _PLAIN

    def answered(self, request: Request) -> None:
        """Told of an answer of the broker's before anything of it goes on: for who watches."""

    def swallows(self, client: str) -> bool:
        """Whether the client is cut off."""
        return self._blackholed is not None and self._blackholed in client

    def latency(self) -> float:
        """Seconds a frame takes on its way."""
        spread = self._random.uniform(-self.jitter_seconds, self.jitter_seconds)
        return max(0.0, self.latency_seconds + spread) / 2

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", self._port)
        )
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for link in self._links:
            link.break_client()
            link.break_broker()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._errors.append(error)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(*self.upstream)
        except OSError:  # the broker is down: the client sees a refused connection
            writer.close()
            return
        link = _Link(self, (reader, writer), upstream)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Line:
    """One direction of a connection: frames leave in order, each not before its time."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._frames: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def send(self, payload: bytes, seconds: float) -> None:
        self._frames.put_nowait((self._loop.time() + seconds, framed(payload)))

    def end(self) -> None:
        """Close once all that was handed over has left."""
        self._frames.put_nowait((0.0, None))

    async def run(self) -> None:
        """Write until `end`; a reader that has gone takes nothing more."""
        with suppress(ConnectionError):
            while True:
                due, frame = await self._frames.get()
                if frame is None:
                    break
                await asyncio.sleep(due - self._loop.time())
                self.writer.write(frame)
                await self.writer.drain()
        self.writer.close()


class _Link:
    """One client's connection and its twin to the broker."""

    def __init__(self, proxy: FaultProxy, client: _Stream, broker: _Stream) -> None:
        self._proxy = proxy
        self._from_client, self._from_broker = client[0], broker[0]
        self._to_client, self._to_broker = _Line(client[1]), _Line(broker[1])
        self._waiting: dict[int, tuple[Request, Action]] = {}
        self._client = ""
        self._gone = False

    async def run(self) -> None:
        """Carry frames both ways until either side has ended."""
        writers = [asyncio.ensure_future(line.run()) for line in (self._to_client, self._to_broker)]
        answers = asyncio.ensure_future(self._answers())
        await self._requests()
        # The client has gone; what it sent still goes its way.
        self._gone = True
        self._end_when_answered()
        await asyncio.gather(*writers, answers)

    def break_client(self) -> None:
        """The client sees its connection reset."""
        self._to_client.writer.transport.abort()

    def break_broker(self) -> None:
        """The broker sees its connection reset."""
        self._to_broker.writer.transport.abort()

    async def _requests(self) -> None:
        while (frame := await read_frame(self._from_client)) is not None:
            request = Request.of(frame)
            self._client = request.client
            if self._proxy.swallows(request.client):
                continue
            self._handle(request, self._proxy.decide(request))

    def _handle(self, request: Request, action: Action) -> None:
        if action.forward:
            self._waiting[request.correlation] = (request, action)
            self._to_broker.send(request.frame, self._proxy.latency() + action.request_delay)
        elif action.error is not None:
            self._to_client.send(error_answer(request, action.error), self._proxy.latency())
        if action.close_on_request:
            self.break_client()

    def _end_when_answered(self) -> None:
        """Leave the broker once it has done all that a client that has gone had asked of it."""
        if self._gone and not self._waiting:
            self._to_broker.end()

    async def _answers(self) -> None:
        while (answer := await read_frame(self._from_broker)) is not None:
            request, action = self._waiting.pop(correlation_of(answer))
            self._proxy.answered(request)
            self._end_when_answered()
            if self._proxy.swallows(self._client):
                continue
            if action.error is not None:
                answer = with_error(request, answer, action.error)
            if action.answer:
                self._to_client.send(answer, self._proxy.latency() + action.answer_delay)
            if action.close_on_answer:
                self.break_client()
        self._to_client.end()
