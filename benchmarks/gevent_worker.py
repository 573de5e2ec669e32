"""Web process with gevent and flask-sock instead of ASGI, for `benchmarks.worker_classes`.

It serves the same Flask application and live events, with a greenlet for each socket.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
from typing import Any  # noqa: E402

from flask import request  # noqa: E402
from flask_login import current_user  # noqa: E402
from flask_sock import Sock  # noqa: E402
from gevent import spawn  # noqa: E402
from gevent.queue import Queue  # noqa: E402

from chatbot import create_app  # noqa: E402
from chatbot.core.db import db  # noqa: E402
from chatbot.core.live_events import PUBSUB_CHANNEL, parse_live_event  # noqa: E402
from chatbot.core.redis import create_blocking_client  # noqa: E402

app = create_app()
sock = Sock(app)
queues: set[Queue[str]] = set()
listening: list[Any] = []


def listen() -> None:
    url = app.extensions["prosa_redis"].url
    subscription = create_blocking_client(url, "live", timeout_s=30).pubsub()
    subscription.subscribe(PUBSUB_CHANNEL)
    for message in subscription.listen():
        event = parse_live_event(message["data"])
        if event is not None:
            content = {"kind": event.kind, "id": event.id, "at": f"{event.epoch}/{event.seq}"}
            for queue in queues:
                queue.put(json.dumps(content))


@sock.route("/live")  # type: ignore[untyped-decorator]
def live(socket: Any) -> None:
    if not current_user.is_authenticated or not request.headers.get("Origin"):
        return
    db.session.rollback()
    if not listening:
        listening.append(spawn(listen))
    queue: Queue[str] = Queue(64)
    queues.add(queue)
    try:
        socket.send(json.dumps({"kind": "hello", "id": None, "at": ""}))
        while True:
            socket.send(queue.get())
    finally:
        queues.discard(queue)
