"""Count responses by route and status, and their durations."""

from __future__ import annotations

import time
from bisect import bisect_left

from flask import Flask, Response, g, request

from chatbot.core.log import get_route
from chatbot.core.metrics import count

# Seconds: the default buckets of Prometheus, without the slowest ones.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BUCKET_LABELS = (*(str(bucket) for bucket in BUCKETS_S), "+Inf")


def init_request_metrics(app: Flask) -> None:
    app.before_request_funcs.setdefault(None, []).insert(0, _start_timer)
    app.after_request(_record_request)


def _start_timer() -> None:
    g.began_at = time.perf_counter()


def _record_request(response: Response) -> Response:
    route = get_route()
    took_s = time.perf_counter() - g.pop("began_at", time.perf_counter())
    count("http_requests", method=_method_label(), route=route, status=str(response.status_code))
    count("http_seconds", took_s, route=route)
    count("http_buckets", route=route, le=BUCKET_LABELS[bisect_left(BUCKETS_S, took_s)])
    return response


def _method_label() -> str:
    """Return the method, or "other" for unknown ones, which would add a series each."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return request.method if request.method in known else "other"
