"""Webhooks on their way to the callback URL: signed, bounded, and repeated until answered 200."""

import asyncio
import hashlib
import hmac
import random
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
import msgspec

from chatbot.simulator.settings import Settings

CLOCK_GRAIN_S = 0.001  # a timer may fire a hair before its time


class Webhook(msgspec.Struct):
    """One POST; every try sends the same bytes (section 1.3)."""

    body: bytes
    headers: dict[str, str]
    first_tried_at: float = -1.0
    tries: int = 0
    on_delivered: Callable[[], None] | None = None
    is_repeated: bool = True


class Delivery:
    """At most `webhook_concurrency` POSTs at once, in no promised order, as with Meta."""

    def __init__(
        self, callback_url: str, app_secret: str, verify_token: str, settings: Settings
    ) -> None:
        self.settings = settings
        self.delivered = 0
        self.attempts_failed = 0
        self.given_up = 0
        self._url = callback_url
        self._key = app_secret.encode()
        self._verify_token = verify_token
        self._is_verified = False
        self._handshake: asyncio.Task[None] | None = None
        self._ready: deque[Webhook] = deque()
        self._waiting: set[asyncio.TimerHandle] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._random = random.Random(settings.seed)
        self._held_until = 0.0

    @property
    def is_held(self) -> bool:
        return self.settings.webhook_outage or asyncio.get_running_loop().time() < self._held_until

    @property
    def pending(self) -> int:
        return len(self._ready) + len(self._waiting) + len(self._running)

    def submit(
        self,
        body: bytes,
        on_delivered: Callable[[], None] | None = None,
        *,
        spoil: Callable[[str], str] | None = None,
    ) -> None:
        """`spoil` makes a false signature of the true one; such a POST is not repeated."""
        signature = f"sha256={hmac.new(self._key, body, hashlib.sha256).hexdigest()}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": spoil(signature) if spoil else signature,
        }
        is_true = spoil is None
        webhook = Webhook(body, headers, on_delivered=on_delivered, is_repeated=is_true)
        self._ready.append(webhook)
        if is_true and self._random.random() < self.settings.duplicate_webhook:
            self._ready.append(Webhook(body, headers))
        self.pump()

    def hold(self, seconds: float) -> None:
        """An outage of so many seconds, from now: nothing arrives, and later all does."""
        loop = asyncio.get_running_loop()
        self._held_until = loop.time() + seconds
        loop.call_later(seconds + CLOCK_GRAIN_S, self.pump)

    def pump(self) -> None:
        """Start what may start; called whenever that can have changed."""
        if self.settings.verify_first and not self._is_verified:
            self._shake_hands()
            return
        while (
            self._ready
            and not self.is_held
            and len(self._running) < self.settings.webhook_concurrency
        ):
            task = asyncio.get_running_loop().create_task(self._try(self._ready.popleft()))
            self._running.add(task)
            task.add_done_callback(self._after_try)

    def clear(self) -> None:
        """Forget all that is under way, and the counts."""
        self._ready.clear()
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        for task in self._running:
            task.cancel()
        if self._handshake:
            self._handshake.cancel()
        self._is_verified = False
        self.delivered = self.attempts_failed = self.given_up = 0
        self._random = random.Random(self.settings.seed)
        self._held_until = 0.0

    def _shake_hands(self) -> None:
        if self._handshake is None or self._handshake.done():
            self._handshake = asyncio.get_running_loop().create_task(self._until_verified())

    async def _until_verified(self) -> None:
        while self.settings.verify_first and not await self.verify():
            await asyncio.sleep(self.settings.retry_first_s)
        self.pump()

    async def verify(self) -> bool:
        """The handshake of section 1.1: the challenge must come back as the whole body."""
        challenge = "1158201444"
        query = {
            "hub.mode": "subscribe",
            "hub.challenge": challenge,
            "hub.verify_token": self._verify_token,
        }
        try:
            async with self._client().get(
                self._url, params=query, timeout=self._timeout(), allow_redirects=False
            ) as answer:
                right = answer.status == HTTPStatus.OK and await answer.text() == challenge
                self._is_verified = self._is_verified or right
                return right
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def aclose(self) -> None:
        self.clear()
        if self._http:
            await self._http.close()

    async def _try(self, webhook: Webhook) -> None:
        loop = asyncio.get_running_loop()
        webhook.tries += 1
        if webhook.first_tried_at < 0:
            webhook.first_tried_at = loop.time()
        if await self._post(webhook):
            self.delivered += 1
            if webhook.on_delivered:
                webhook.on_delivered()
            return
        self.attempts_failed += 1
        age_s = loop.time() - webhook.first_tried_at
        if not webhook.is_repeated or age_s > self.settings.retry_give_up_s:
            self.given_up += 1
            return
        self._retry_later(webhook, loop)

    def _retry_later(self, webhook: Webhook, loop: asyncio.AbstractEventLoop) -> None:
        doublings = min(webhook.tries - 1, 16)
        gap = min(self.settings.retry_first_s * 2**doublings, self.settings.retry_max_s)

        def again() -> None:
            self._waiting.discard(handle)
            self._ready.append(webhook)
            self.pump()

        handle = loop.call_later(gap, again)
        self._waiting.add(handle)

    async def _post(self, webhook: Webhook) -> bool:
        """Only 200 counts as received, and redirects are not followed (section 1.3)."""
        try:
            async with self._client().post(
                self._url,
                data=webhook.body,
                headers=webhook.headers,
                timeout=self._timeout(),
                allow_redirects=False,
            ) as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _after_try(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.pump()
        if not task.cancelled():
            task.result()

    def _timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self.settings.webhook_timeout_s)

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http
