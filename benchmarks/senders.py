"""Run one sender and print its figures as JSON: `python -m benchmarks.senders NAME MESSAGES`.

NAME is bare, prosa, celery or rq.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from benchmarks import job_per_message as job_per_message_senders
from benchmarks.campaign_rows import MESSAGE_BODY, make_phone, make_running_campaign
from chatbot import create_app
from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.source import CampaignSource
from chatbot.channels.service import get_default_channel, make_gateway
from chatbot.channels.whatsapp.client import make_session
from chatbot.core import redis as prosa_redis
from chatbot.core.db import db
from chatbot.delivery.sender import MAX_CONCURRENT_CALLS, Sender
from chatbot.delivery.throttle import Throttle, ThrottleLimits
from config import load
from tests.support.call_counts import count_sql

NO_LIMIT = 1e6  # messages per second: no throttling


def send_bare(messages: int) -> dict[str, Any]:
    """Send with as many concurrent calls as Prosa, each loop one body after the other."""
    settings = load()
    url = f"{settings.whatsapp_api_url}/{settings.whatsapp_phone_number_id}/messages"
    headers = {
        "Authorization": f"Bearer {settings.whatsapp_token}",
        "Content-Type": "application/json",
    }

    async def work(http: Any, numbers: Any) -> None:
        for number in numbers:
            body = json.dumps({**MESSAGE_BODY, "to": make_phone(number)}).encode()
            async with http.post(url, data=body) as response:
                assert response.status == 200
                json.loads(await response.read())

    async def everything() -> None:
        numbers = iter(range(messages))
        async with make_session(128, headers) as http:
            await asyncio.gather(*(work(http, numbers) for _ in range(MAX_CONCURRENT_CALLS)))

    return time_sending(lambda: asyncio.run(everything()), messages)


def send_with_prosa(messages: int, options: argparse.Namespace) -> dict[str, Any]:
    """Send a campaign as its job does, from the claim to the stored result."""
    with create_app().app_context():
        channel = get_default_channel()
        if not options.prepared:
            make_running_campaign(channel, messages)
        db.session.commit()
        db.session.refresh(channel)
        db.session.expunge(channel)
        db.session.rollback()
        if options.only_prepare:
            return {}
        trips = count_redis_trips()
        sender = Sender(
            db.engine,
            CampaignSource(db.engine, channel.id),
            make_gateway(channel),
            Throttle(prosa_redis.client(), ThrottleLimits(channel.id, NO_LIMIT)),
            doubt_window_s=60,
        )
        gc.freeze()  # as the worker does before a job
        sender._call_slots = asyncio.Semaphore(options.at_once)
        sent = []
        time.sleep(max(0.0, options.begin_at - time.time()))
        with count_sql(db.engine) as sql:
            result = time_sending(lambda: sent.append(asyncio.run(sender.run(300))), messages)
        return result | {
            "messages": sent[0],
            "redis_trips": trips[0],
            "sql_statements": sql.number,
        }


def count_redis_trips() -> list[int]:
    """Return a list with the number of round trips; a pipeline counts as one."""
    trips, pool = [0], prosa_redis.state().pool
    take = pool.get_connection

    def counting(*args: Any, **kwargs: Any) -> Any:
        trips[0] += 1
        return take(*args, **kwargs)

    pool.get_connection = counting  # type: ignore[method-assign]
    return trips


def time_sending(work: Callable[[], object], messages: int) -> dict[str, Any]:
    began, before = time.monotonic(), cpu_s()
    work()
    return {
        "messages": messages,
        "wall_s": time.monotonic() - began,
        "cpu_s": cpu_s() - before,
    }


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def job_per_message(sender: str, messages: int) -> dict[str, Any] | None:
    """Send with a job per message over the same rows; None if the job system is not installed."""
    if sender == "celery" and job_per_message_senders.app is None:
        return None
    with create_app().app_context():
        channel = get_default_channel()
        campaign_id = make_running_campaign(channel, messages)
        ids = sa.select(Recipient.id).where(Recipient.campaign_id == campaign_id)
        row_ids = list(db.session.scalars(ids))
        db.session.rollback()
    before = cpu_s()
    work = (
        job_per_message_senders.send_with_celery
        if sender == "celery"
        else job_per_message_senders.send_with_rq
    )
    return work(row_ids) | {"cpu_s": cpu_s() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sender")
    parser.add_argument("messages", type=int)
    parser.add_argument("--only-prepare", action="store_true")
    parser.add_argument("--prepared", action="store_true")
    parser.add_argument("--at-once", type=int, default=MAX_CONCURRENT_CALLS)
    parser.add_argument("--begin-at", type=float, default=0.0)
    options = parser.parse_args()
    if options.sender == "bare":
        result: dict[str, Any] | None = send_bare(options.messages)
    elif options.sender == "prosa":
        result = send_with_prosa(options.messages, options)
    else:
        result = job_per_message(options.sender, options.messages)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
