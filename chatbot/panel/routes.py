"""Pages composed of several features: the home page, and how Redis does."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from chatbot.ops.alerts import firing
from chatbot.ops.cache_stats import cache_stats
from chatbot.ops.redis_facts import redis_facts
from chatbot.panel.queries import read_home

bp = Blueprint("panel", __name__)
redis = Blueprint("redis", __name__, url_prefix="/redis")


@bp.get("/")
def home() -> ResponseReturnValue:
    return render_template("panel/home.html", **read_home())


@bp.get("/now")
def now() -> ResponseReturnValue:
    """The home page's moving part."""
    return render_template("panel/_now.html", **read_home())


@redis.get("/")
def show() -> ResponseReturnValue:
    return render_template("panel/redis.html", **_redis())


@redis.get("/now")
def figures() -> ResponseReturnValue:
    """The Redis page's moving part."""
    return render_template("panel/_redis.html", **_redis())


def _redis() -> dict[str, object]:
    return {"stats": cache_stats(), "facts": redis_facts(), "alerts": firing()}
