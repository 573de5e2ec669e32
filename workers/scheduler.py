"""Rings by the clock: `python -m workers.scheduler`. Two of them do no harm: bells are only bells."""

from __future__ import annotations

import logging
import sys
import threading
import time

from flask import Flask
from sqlalchemy.exc import DBAPIError

from chatbot.core import beats, metrics
from chatbot.core.db import db
from chatbot.core.queue import BELLS, resolve, ring_job
from config import ConfigError
from workers.app import make_worker_app
from workers.run import Stop, look
from workers.schedule import EVERY_S, HERE_S

log = logging.getLogger("workers.scheduler")


def tick(last: dict[str, float], now: float) -> None:
    """Ring what is due at `now` (monotonic seconds); `last` remembers."""
    for name, every_s in EVERY_S.items():
        if now - last.get(name, -every_s) < every_s:
            continue
        last[name] = now
        try:
            for args in resolve(BELLS[name].due or "")():
                ring_job(name, *args)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error)
        except Exception:  # one bad look must not silence the other bells
            log.exception("looking for work of %s failed", name)
        finally:
            db.session.rollback()


def work_here(app: Flask, stop: Stop) -> None:
    """What the scheduler does itself, in a thread of its own: it may wait for the world outside."""
    last: dict[str, float] = {}
    with app.app_context():
        while not stop.is_set:
            for name, every_s in HERE_S.items():
                if time.monotonic() - last.get(name, -every_s) >= every_s:
                    last[name] = time.monotonic()
                    look({name: BELLS[name]})
            time.sleep(0.5)


def main() -> int:
    try:
        app = make_worker_app()
    except ConfigError as error:
        print(f"Prosa can't start: {error}", file=sys.stderr)
        return 1
    stop = Stop()
    last: dict[str, float] = {}
    with app.app_context(), metrics.reporting_as("scheduler"):
        threading.Thread(target=work_here, args=(app, stop), daemon=True).start()
        while not stop.is_set:
            beats.beat("scheduler")
            tick(last, time.monotonic())
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
