"""For machines: health, cache statistics, metrics."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from chatbot.extensions import get_settings
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.health import check_health, check_readiness
from chatbot.ops.metrics import render_metrics

bp = Blueprint("ops", __name__)

# Whatever stands in front of us says for whom it asks.
FORWARDED_HEADERS = ("X-Forwarded-For", "X-Real-Ip", "Forwarded")


@bp.get("/health")
def health() -> tuple[Response, int]:
    return _health_response(check_health())


@bp.get("/health/live")
def live() -> tuple[Response, int]:
    """That this process answers. Whatever else is away, starting it anew would not help."""
    return _health_response({"status": "healthy"})


@bp.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Whether requests may be sent here: the database answers. Redis need not be there."""
    return _health_response(check_readiness())


def _health_response(found: dict[str, Any]) -> tuple[Response, int]:
    return jsonify(found), 503 if found["status"] == "unhealthy" else 200


@bp.get("/cache/stats")
def stats() -> Response:
    found = get_cache_stats()
    history = [{**hour, "hour": hour["hour"].isoformat()} for hour in found["history"]]
    return jsonify({**found, "history": history})


@bp.get("/metrics")
def metrics() -> Response:
    """For a collector with METRICS_TOKEN, or one on this machine."""
    if not (_has_token() or _is_local_request()):
        abort(403)
    return Response(render_metrics(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _has_token() -> bool:
    expected = get_settings(current_app).metrics_token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return (
        bool(expected)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(), expected.encode())
    )


def _is_local_request() -> bool:
    """By the socket's own peer, not by what a header claims, which ProxyFix may have believed.

    A proxy of this machine is a near peer as well, of a stranger who may be anywhere: it names him.
    """
    original = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    return _is_loopback(original.get("REMOTE_ADDR")) and not any(
        name in request.headers for name in FORWARDED_HEADERS
    )


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False
