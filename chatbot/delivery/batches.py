"""Slices in the air, and what becomes of their rows."""

from __future__ import annotations

import asyncio
from typing import Any

from chatbot.channels.gateway import Accepted, GatewayAnswer
from chatbot.core.db import sanitize_text
from chatbot.delivery.error_policy import SendDecision
from chatbot.delivery.outbound import OutboundMessage
from chatbot.delivery.results import DeliveryResult, ResultKind


def unsent_result(message: OutboundMessage, retry_in_s: float = 0.0) -> DeliveryResult:
    return _make_result(message, ResultKind.UNSENT, retry_in_s=retry_in_s)


def unrenderable_result(message: OutboundMessage) -> DeliveryResult:
    return _make_result(message, ResultKind.FAILED, error_detail=message.error)


def answered_result(
    message: OutboundMessage, answer: GatewayAnswer, verdict: SendDecision
) -> DeliveryResult:
    """`wa_id` is told where the provider calls the recipient otherwise than we did."""
    wamid = wa_id = None
    if isinstance(answer, Accepted):
        wamid = answer.wamid
        wa_id = sanitize_text(answer.wa_id, 80) if answer.wa_id != message.to else None
    return _make_result(
        message,
        verdict.result,
        wamid=wamid,
        wa_id=wa_id,
        error_code=verdict.code,
        error_detail=verdict.detail,
        retry_in_s=verdict.retry_in_s,
    )


def _make_result(message: OutboundMessage, result: ResultKind, **fields: Any) -> DeliveryResult:
    return DeliveryResult(
        row_id=message.row_id, attempt=message.attempt, token=message.token, result=result, **fields
    )


async def drain(batches: set[asyncio.Task[None]], most: int) -> set[asyncio.Task[None]]:
    """Wait until at most `most` slices are in the air."""
    while len(batches) > most:
        done, batches = await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return batches
