"""Campaign sender with one Celery or RQ job per message, for comparison.

Each job reads its row, calls the API and writes the result.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import signal
import subprocess
import sys
import time
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import redis
import sqlalchemy as sa
from rq import Queue, Worker

from benchmarks.campaign_rows import MESSAGE_BODY
from config import load


def _redis_socket() -> str:
    return urlsplit((load().redis_url or "").replace("unix://", "http://")).path


app: Any = None
if importlib.util.find_spec("celery"):
    app = importlib.import_module("celery").Celery(
        "job_per_message", broker=f"redis+socket://{_redis_socket()}"
    )
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)

MAX_DURATION_S = 30.0


@cache
def _engine() -> sa.Engine:
    return sa.create_engine(load().database_url)


@cache
def _connection() -> http.client.HTTPConnection:
    url = urlsplit(load().whatsapp_api_url)
    return http.client.HTTPConnection(url.hostname or "", url.port)


def send(row_id: int) -> None:
    """Send the message of one row over persistent connections and store the result."""
    settings = load()
    query = sa.text(
        "SELECT c.wa_id, c.name FROM recipients r JOIN contacts c ON c.id = r.contact_id"
        " WHERE r.id = :id AND r.state = 'queued'"
    )
    with _engine().begin() as connection:
        row = connection.execute(query, {"id": row_id}).first()
    if row is None:
        return
    body = {**MESSAGE_BODY, "to": row.wa_id, "biz_opaque_callback_data": f"r:{row_id}:1"}
    path = urlsplit(settings.whatsapp_api_url).path
    _connection().request(
        "POST",
        f"{path}/{settings.whatsapp_phone_number_id}/messages",
        json.dumps(body),
        {
            "Authorization": f"Bearer {settings.whatsapp_token}",
            "Content-Type": "application/json",
        },
    )
    answer = json.loads(_connection().getresponse().read())
    done = sa.text("UPDATE recipients SET state = 'accepted', wamid = :wamid WHERE id = :id")
    with _engine().begin() as connection:
        connection.execute(done, {"id": row_id, "wamid": answer["messages"][0]["id"]})


if app:
    send_task = app.task(name="send")(send)


def send_with_celery(row_ids: list[int]) -> dict[str, Any]:
    for row_id in row_ids:
        send_task.delay(row_id)
    return _work(
        "celery", "-A", "benchmarks.job_per_message:app", "worker", "--pool=prefork",
        "--concurrency=2", "--loglevel=ERROR", "--without-gossip", "--without-mingle",
        "--without-heartbeat", count=len(row_ids),
    )  # fmt: skip


def send_with_rq(row_ids: list[int]) -> dict[str, Any]:
    client = redis.Redis(unix_socket_path=_redis_socket())
    queue = Queue("bench", connection=client)
    for row_id in row_ids:
        queue.enqueue_call(send, args=(row_id,), result_ttl=0)
    return _work("benchmarks.job_per_message", count=len(row_ids))


def run_rq_worker() -> None:
    """Run RQ's own worker; this module is imported before it forks, not in each job process."""
    client = redis.Redis(unix_socket_path=_redis_socket())
    Worker([Queue("bench", connection=client)], connection=client).work(logging_level="WARNING")


def _work(*command: str, count: int) -> dict[str, Any]:
    """Run the worker until all is sent or MAX_DURATION_S is over; time counts from the first message."""
    worker = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    began, give_up = 0.0, time.monotonic() + MAX_DURATION_S
    try:
        while (sent := _count_accepted()) < count:
            if time.monotonic() > give_up and began:
                break
            if sent and not began:
                began, first = time.monotonic(), sent
            if worker.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {worker.returncode}")
            time.sleep(0.02)
        return {"messages": sent - first, "wall_s": time.monotonic() - began}
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


def _count_accepted() -> int:
    query = sa.text("SELECT count(*) FROM recipients r JOIN campaigns c ON c.id = r.campaign_id"
                    " WHERE c.state = 'running' AND r.state = 'accepted'")  # fmt: skip
    with _engine().connect() as connection:
        return int(connection.scalar(query) or 0)


if __name__ == "__main__":
    run_rq_worker()
