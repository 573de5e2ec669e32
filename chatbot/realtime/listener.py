"""Redis subscription of a process, in a thread with a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from redis.client import PubSub
from redis.exceptions import RedisError

from chatbot.core.live_events import PUBSUB_CHANNEL, parse_live_event, read_live_position
from chatbot.core.redis import RedisState, create_blocking_client
from chatbot.realtime.hub import Hub

log = logging.getLogger(__name__)

PING_S = 10.0
SILENCE_TIMEOUT_S = 2 * PING_S
READ_TIMEOUT_S = 0.5
RETRY_PAUSE_S = 0.25
CONNECT_TIMEOUT_S = 5.0


class Listener(threading.Thread):
    """Receives live events and passes them to the hub in its event loop.

    Reading does not detect a server that hangs, so the listener sends pings and reconnects after two
    without an answer. The circuit breaker of the process often detects the outage earlier.
    """

    def __init__(self, redis: RedisState, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="live-listener", daemon=True)
        self._redis = redis
        self._hub = hub
        self._loop = loop
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        if self._redis.url is None:
            return
        client = create_blocking_client(self._redis.url, "live", timeout_s=CONNECT_TIMEOUT_S)
        while not self._stopped.wait(RETRY_PAUSE_S):
            if self._redis.pool.breaker.is_open:
                continue
            try:
                with client.pubsub() as subscription:
                    self._listen(subscription)
            except (RedisError, OSError) as error:
                log.info("live events interrupted: %s", error)
            self._call_in_loop(self._hub.on_disconnected)
        client.close()

    def _listen(self, subscription: PubSub) -> None:
        """Receive until stopped or the breaker is open. Raises RedisError or OSError on disconnection."""
        subscription.subscribe(PUBSUB_CHANNEL)
        received_at = pinged_at = time.monotonic()
        while not self._stopped.is_set() and not self._redis.pool.breaker.is_open:
            message: Any = subscription.get_message(timeout=READ_TIMEOUT_S)
            now = time.monotonic()
            if message is not None:
                received_at = now
                self._handle_message(message)
            elif now - received_at > SILENCE_TIMEOUT_S:
                raise TimeoutError("nothing from Redis for two pings")
            if now - pinged_at >= PING_S:
                subscription.ping()
                pinged_at = now

    def _handle_message(self, message: dict[str, Any]) -> None:
        # Also sent when redis-py reconnects by itself, and then too events may have been missed.
        if message["type"] == "subscribe":
            self._call_in_loop(self._hub.on_subscribed, *read_live_position(self._redis.client))
        elif message["type"] == "message":
            event = parse_live_event(message["data"])
            if event is None:
                self._call_in_loop(self._hub.on_invalid_message)
            else:
                self._call_in_loop(self._hub.on_event, event)

    def _call_in_loop(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop is closed, because the process ends
            self._stopped.set()
