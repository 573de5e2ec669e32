"""Endpoints for machines: health, cache statistics, metrics."""

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

# Headers by which a proxy names the client.
FORWARDED_HEADERS = ("X-Forwarded-For", "X-Real-Ip", "Forwarded")


@bp.get("/health")
def health() -> tuple[Response, int]:
    return _health_response({**check_health(), "version": current_app.extensions["prosa_version"]})


@bp.get("/health/live")
def live() -> tuple[Response, int]:
    """Report that this process answers. Nothing else is checked: a restart would not help."""
    return _health_response({"status": "healthy"})


@bp.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Report whether this process can serve requests: it needs the database, but not Redis."""
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
    """Return the metrics to collectors with METRICS_TOKEN; in development also on this machine."""
    is_production = get_settings(current_app).is_production
    if not (_has_token() or (not is_production and _is_local_request())):
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
    """Return whether the peer of the socket is this machine, and no proxy.

    The socket's own address counts: ProxyFix may have replaced REMOTE_ADDR by a forged header. A proxy on
    this machine also connects from here. Most of them add a forwarding header, but not all, so this is only
    for development.
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
