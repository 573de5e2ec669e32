"""Delivery of webhooks to the callback URL: signed, and retried until the answer is 200.

Rules: Meta, "Create a webhook endpoint".
"""

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

TIMER_TOLERANCE_S = 0.001  # a timer may fire slightly early


class Webhook(msgspec.Struct):
    """Webhook POST; every attempt sends the same bytes."""

    body: bytes
    headers: dict[str, str]
    first_attempt_at: float = -1.0
    attempts: int = 0
    on_delivered: Callable[[], None] | None = None
    is_retried: bool = True


class WebhookSender:
    """Sender of at most `webhook_concurrency` POSTs at once. Like at Meta, order is not kept."""

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
        self._verification: asyncio.Task[None] | None = None
        self._ready: deque[Webhook] = deque()
        self._retry_timers: set[asyncio.TimerHandle] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._random = random.Random(settings.seed)
        self._outage_until = 0.0

    @property
    def is_in_outage(self) -> bool:
        return (
            self.settings.webhook_outage or asyncio.get_running_loop().time() < self._outage_until
        )

    @property
    def pending(self) -> int:
        return len(self._ready) + len(self._retry_timers) + len(self._running)

    def submit(
        self,
        body: bytes,
        on_delivered: Callable[[], None] | None = None,
        *,
        corrupt_signature: Callable[[str], str] | None = None,
    ) -> None:
        """Sign a body and queue it; one with a corrupted signature is not retried."""
        signature = f"sha256={hmac.new(self._key, body, hashlib.sha256).hexdigest()}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": corrupt_signature(signature) if corrupt_signature else signature,
        }
        is_signature_valid = corrupt_signature is None
        webhook = Webhook(body, headers, on_delivered=on_delivered, is_retried=is_signature_valid)
        self._ready.append(webhook)
        if is_signature_valid and self._random.random() < self.settings.duplicate_webhook:
            self._ready.append(Webhook(body, headers))
        self.start_ready()

    def start_outage(self, seconds: float) -> None:
        """Hold back all webhooks for so many seconds and deliver them afterwards."""
        loop = asyncio.get_running_loop()
        self._outage_until = loop.time() + seconds
        loop.call_later(seconds + TIMER_TOLERANCE_S, self.start_ready)

    def start_ready(self) -> None:
        """Start queued POSTs up to the limit. Call it whenever one may have become possible."""
        if self.settings.verify_first and not self._is_verified:
            self._start_verification()
            return
        while (
            self._ready
            and not self.is_in_outage
            and len(self._running) < self.settings.webhook_concurrency
        ):
            task = asyncio.get_running_loop().create_task(self._attempt(self._ready.popleft()))
            self._running.add(task)
            task.add_done_callback(self._on_attempt_done)

    def clear(self) -> None:
        """Drop all queued and running POSTs and reset the counts."""
        self._ready.clear()
        for handle in self._retry_timers:
            handle.cancel()
        self._retry_timers.clear()
        for task in self._running:
            task.cancel()
        if self._verification:
            self._verification.cancel()
        self._is_verified = False
        self.delivered = self.attempts_failed = self.given_up = 0
        self._random = random.Random(self.settings.seed)
        self._outage_until = 0.0

    def _start_verification(self) -> None:
        if self._verification is None or self._verification.done():
            self._verification = asyncio.get_running_loop().create_task(self._verify_with_retries())

    async def _verify_with_retries(self) -> None:
        while self.settings.verify_first and not await self.verify():
            await asyncio.sleep(self.settings.retry_first_s)
        self.start_ready()

    async def verify(self) -> bool:
        """Send the verification GET; the challenge must come back as the whole body."""
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
                is_verified = answer.status == HTTPStatus.OK and await answer.text() == challenge
                self._is_verified = self._is_verified or is_verified
                return is_verified
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def aclose(self) -> None:
        self.clear()
        if self._http:
            await self._http.close()

    async def _attempt(self, webhook: Webhook) -> None:
        loop = asyncio.get_running_loop()
        webhook.attempts += 1
        if webhook.first_attempt_at < 0:
            webhook.first_attempt_at = loop.time()
        if await self._post(webhook):
            self.delivered += 1
            if webhook.on_delivered:
                webhook.on_delivered()
            return
        self.attempts_failed += 1
        age_s = loop.time() - webhook.first_attempt_at
        if not webhook.is_retried or age_s > self.settings.retry_give_up_s:
            self.given_up += 1
            return
        self._retry_later(webhook, loop)

    def _retry_later(self, webhook: Webhook, loop: asyncio.AbstractEventLoop) -> None:
        doublings = min(webhook.attempts - 1, 16)
        delay_s = min(self.settings.retry_first_s * 2**doublings, self.settings.retry_max_s)

        def retry() -> None:
            self._retry_timers.discard(handle)
            self._ready.append(webhook)
            self.start_ready()

        handle = loop.call_later(delay_s, retry)
        self._retry_timers.add(handle)

    async def _post(self, webhook: Webhook) -> bool:
        """Send one attempt; only 200 counts as received, and redirects are not followed."""
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

    def _on_attempt_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.start_ready()
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
