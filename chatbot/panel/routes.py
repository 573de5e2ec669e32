"""Pages with data of several features: the home page, and the state of Redis."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from chatbot.ops.alerts import list_firing_alerts
from chatbot.ops.cache_stats import get_cache_stats
from chatbot.ops.redis_status import get_redis_status
from chatbot.panel.queries import get_dashboard

bp = Blueprint("panel", __name__)
redis = Blueprint("redis", __name__, url_prefix="/redis")


@bp.get("/")
def home() -> ResponseReturnValue:
    return render_template("panel/home.html", **get_dashboard())


@bp.get("/now")
def now() -> ResponseReturnValue:
    """Return the part of the home page that updates itself."""
    return render_template("panel/_dashboard.html", **get_dashboard())


@redis.get("/")
def show() -> ResponseReturnValue:
    return render_template("panel/redis.html", **_get_redis_page())


@redis.get("/now")
def figures() -> ResponseReturnValue:
    """Return the part of the Redis page that updates itself."""
    return render_template("panel/_redis.html", **_get_redis_page())


def _get_redis_page() -> dict[str, object]:
    return {"stats": get_cache_stats(), "facts": get_redis_status(), "alerts": list_firing_alerts()}
