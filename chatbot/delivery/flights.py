"""Slices in the air, and what becomes of their rows."""

from __future__ import annotations

import asyncio
from typing import Any

from chatbot.channels.gateway import Accepted, Answer
from chatbot.core.db import storable
from chatbot.delivery.outcomes import Outcome, Result
from chatbot.delivery.reactions import Verdict
from chatbot.delivery.source import Parcel


def unsent(parcel: Parcel, retry_in_s: float = 0.0) -> Outcome:
    return _outcome(parcel, Result.UNSENT, retry_in_s=retry_in_s)


def unwritable(parcel: Parcel) -> Outcome:
    return _outcome(parcel, Result.FAILED, error_detail=parcel.fault)


def answered(parcel: Parcel, answer: Answer, verdict: Verdict) -> Outcome:
    """`wa_id` is told where the provider calls the recipient otherwise than we did."""
    wamid = wa_id = None
    if isinstance(answer, Accepted):
        wamid = answer.wamid
        wa_id = storable(answer.wa_id, 80) if answer.wa_id != parcel.to else None
    return _outcome(
        parcel,
        verdict.result,
        wamid=wamid,
        wa_id=wa_id,
        error_code=verdict.code,
        error_detail=verdict.detail,
        retry_in_s=verdict.retry_in_s,
    )


def _outcome(parcel: Parcel, result: Result, **told: Any) -> Outcome:
    return Outcome(
        row_id=parcel.row_id, attempt=parcel.attempt, token=parcel.token, result=result, **told
    )


async def land(flights: set[asyncio.Task[None]], most: int) -> set[asyncio.Task[None]]:
    """Wait until at most `most` slices are in the air."""
    while len(flights) > most:
        done, flights = await asyncio.wait(flights, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return flights
