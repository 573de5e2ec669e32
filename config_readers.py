"""Readers of settings: from text to a value or a clear error. `config.py` lists the settings.

Each function here describes one setting: it returns a dataclass field that holds the reader. The readers know
no setting by its place in the list and never touch the environment.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from sending_week import parse_week

MIN_KEY_LENGTH = 32  # characters
REDIS_URL_EXAMPLES = (
    "redis://user:password@host:6379/0, rediss://... (TLS), unix:///path/to/redis.sock or "
    "redis+sentinel://user:password@host:26379,host:26379/primary/0"
)
REDIS_SENTINEL_PATTERN = re.compile(
    r"rediss?\+sentinel://([^@/]*@)?[^@/:,]+(:\d+)?(,[^@/:,]+(:\d+)?)*/[^/?]+(/\d+)?/?(\?.*)?"
)


class ConfigError(Exception):
    """A setting is missing or wrong. The message names the variable and the fix."""


class ConfigReader:
    """Text of every setting at one start."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.is_production = values["PROSA_ENV"] == "production"
        self.home = Path(values["PROSA_HOME"])

    def number(self, name: str, default: float, low: float, high: float) -> float:
        try:
            value = float(self.values.get(name, default))
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ConfigError(f"{name} must be a number from {low:g} to {high:g}.")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.number(name, default, low, high)
        if value != int(value):
            raise ConfigError(f"{name} must be a whole number from {low} to {high}.")
        return int(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self.values.get(name, str(default)).lower()
        if value not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            raise ConfigError(f"{name} must be true or false.")
        return value in ("1", "true", "yes", "on")

    def required(self, name: str) -> str:
        if name not in self.values:
            raise ConfigError(
                f"{name} is missing: set it in the environment (see .env.example for what it is)."
            )
        return self.values[name]


def setting(read: Callable[[ConfigReader], Any], *, secret: bool = False) -> Any:
    """Declare a field of Settings by the function that reads it.

    A secret is left out of the text of Settings, and replaced in the log.
    """
    return field(metadata={"read": read}, repr=not secret)


def text(name: str, default: str, *, secret: bool = False) -> Any:
    return setting(lambda env: env.values.get(name, default), secret=secret)


def required(name: str, *, in_development: str | None = None, secret: bool = False) -> Any:
    """Declare a setting that must be given; development may have a default."""

    def read(env: ConfigReader) -> str:
        if env.is_production or in_development is None:
            return env.required(name)
        return env.values.get(name, in_development)

    return setting(read, secret=secret)


def header_token(name: str) -> Any:
    """Declare a required token that is sent in a header, which may hold no white space."""

    def read(env: ConfigReader) -> str:
        token = env.required(name)
        if not re.fullmatch(r"[!-~]+", token):
            raise ConfigError(f"{name} must be one word of plain letters and signs: copy it again.")
        return token

    return setting(read, secret=True)


def number(name: str, default: float, low: float, high: float = 1e9) -> Any:
    return setting(lambda env: env.number(name, default, low, high))


def integer(
    name: str, default: int, low: int, high: int, *, in_production: int | None = None
) -> Any:
    def read(env: ConfigReader) -> int:
        fallback = in_production if env.is_production and in_production is not None else default
        return env.integer(name, fallback, low, high)

    return setting(read)


def boolean(name: str, default: bool) -> Any:
    return setting(lambda env: env.boolean(name, default))


def choice(name: str, default: str, *allowed: str) -> Any:
    def read(env: ConfigReader) -> str:
        value = env.values.get(name, default)
        if value not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}.")
        return value

    return setting(read)


def address(name: str, default: str) -> Any:
    def read(env: ConfigReader) -> str:
        value = env.values.get(name, default).rstrip("/")
        parts = urlsplit(value) if is_valid_url(value) else urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{name} must be an address like {default}.")
        return value

    return setting(read)


def time_zone(name: str, default: str) -> Any:
    def read(env: ConfigReader) -> str:
        value = env.values.get(name, default)
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
            raise ConfigError(f"{name}: {value!r} is no time zone; try {default}.") from None
        return value

    return setting(read)


def weekly_hours(name: str) -> Any:
    """Declare spans of the week such as `mon-fri 08:00-12:00, mon-fri 13:00-18:00`."""

    def read(env: ConfigReader) -> Any:
        try:
            return parse_week(env.values.get(name, ""))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None

    return setting(read)


def _read_date(text: str) -> date:
    """Read `2026-12-24`. Python also takes weeks (2026-W52-4), which nobody means here."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


def dates(name: str) -> Any:
    """Declare dates such as `2026-12-24, 2026-12-31`."""

    def read(env: ConfigReader) -> frozenset[date]:
        parts = (part.strip() for part in env.values.get(name, "").split(","))
        try:
            return frozenset(_read_date(part) for part in parts if part)
        except ValueError:
            raise ConfigError(f"{name} must be dates such as 2026-12-24, 2026-12-31.") from None

    return setting(read)


def read_secret_key(env: ConfigReader) -> str:
    key = env.required("SECRET_KEY")
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigError(
            f"SECRET_KEY is shorter than {MIN_KEY_LENGTH} characters: "
            'make one with `python -c "import secrets; print(secrets.token_urlsafe(48))"`.'
        )
    return key


def read_secret_key_fallbacks(env: ConfigReader) -> tuple[str, ...]:
    keys = tuple(env.values.get("SECRET_KEY_FALLBACKS", "").split())
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        raise ConfigError(
            f"SECRET_KEY_FALLBACKS holds a key shorter than {MIN_KEY_LENGTH} characters: "
            "give the former values of SECRET_KEY, newest first, with spaces between."
        )
    return keys


def read_suppression_key(env: ConfigReader) -> str:
    """Return a key of its own, so that SECRET_KEY can change without losing who opted out."""
    derived = hmac.new(read_secret_key(env).encode(), b"prosa suppression", hashlib.sha256)
    key = env.values.get("SUPPRESSION_KEY", derived.hexdigest())
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigError(
            f"SUPPRESSION_KEY is shorter than {MIN_KEY_LENGTH} characters: make it like SECRET_KEY."
        )
    return key


def read_database_url(env: ConfigReader) -> str:
    """Return an address for SQLAlchemy, which no longer knows Heroku's `postgres://`."""
    if env.is_production:
        env.required("DATABASE_URL")  # a file on a host such as Heroku is thrown away with it
    url = env.values.get("DATABASE_URL", f"sqlite:///{env.home / 'prosa.db'}")
    scheme, separator, rest = url.partition("://")
    if not separator or not is_valid_url(url):
        raise ConfigError("DATABASE_URL must look like postgresql://user:password@host/name.")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError(
            f"DATABASE_URL: {scheme} is not supported, use postgresql:// or sqlite:///."
        )
    if scheme == "sqlite" and rest in ("", "/", "/:memory:"):
        # Each process and each connection would have a database of its own.
        raise ConfigError("DATABASE_URL must name a file, such as sqlite:////var/lib/prosa.db.")
    return url


def read_redis_url(env: ConfigReader) -> str | None:
    url = env.values.get("REDIS_URL")
    if url is None or not env.boolean("REDIS_ENABLED", True):
        return None
    if not (REDIS_SENTINEL_PATTERN.fullmatch(url) or _is_redis_server(url)):
        raise ConfigError(f"REDIS_URL must look like {REDIS_URL_EXAMPLES}.")
    return _add_tls_options(env, url) if url.startswith("rediss") else url


def _is_redis_server(url: str) -> bool:
    parts = urlsplit(url) if is_valid_url(url) else urlsplit("")
    if parts.scheme == "unix":
        return bool(parts.path)
    database = parts.path.strip("/")
    is_named = parts.scheme in ("redis", "rediss") and bool(parts.hostname)
    return is_named and (not database or database.isdecimal())


def _add_tls_options(env: ConfigReader, url: str) -> str:
    """Trust public authorities unless a setting says otherwise: Heroku's Redis signs its own certificate."""
    authority = env.values.get("REDIS_TLS_CA")
    if not env.boolean("REDIS_TLS_VERIFY", True):
        trust = {"ssl_cert_reqs": "none", "ssl_check_hostname": "false"}
    elif authority is None:
        return url
    elif not Path(authority).is_file():
        raise ConfigError(f"REDIS_TLS_CA: {authority} is no file; name one of certificates (PEM).")
    else:
        trust = {"ssl_ca_certs": authority}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(trust)}"


def read_alert_urls(env: ConfigReader) -> tuple[str, ...]:
    urls = tuple(env.values.get("ALERT_URLS", "").split())
    for url in urls:
        if not re.match(r"[a-z][a-z0-9+.-]*://.", url, re.IGNORECASE):
            raise ConfigError(
                "ALERT_URLS must be addresses as Apprise knows them, with spaces between: "
                "mailto://user:password@example.com json://host/path"
            )
    return urls


def read_simulator_port(env: ConfigReader) -> int | None:
    has_api_url = "WHATSAPP_API_URL" in env.values
    return None if has_api_url else env.integer("SIMULATOR_PORT", 8010, 1, 65535)


def is_valid_url(url: str) -> bool:
    """Return whether host and port can be read: `urlsplit` reports a bad port only when it is asked."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def without_blank(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values without white space around them: a pasted token often ends in a line break."""
    return {name: value.strip() for name, value in values.items() if value and value.strip()}
