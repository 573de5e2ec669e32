"""All settings of Prosa: typed and checked at start. The only module that reads the environment.

A setting comes from the first of: the environment; `.env` in the working folder; and in development
`PROSA_HOME/run.env` (values of a running `make run`, so that `flask ...` in another terminal uses the same
Redis and simulator) and `PROSA_HOME/secrets.env` (created once for this machine).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

# RQ reads its key prefix at import, so it must be set before rq is imported.
os.environ["RQ_KEY_PREFIX"] = "prosa:rq"

ROOT = Path(__file__).resolve().parent
GRAPH_URL = "https://graph.facebook.com/v25.0"
REDIS_URL_EXAMPLES = (
    "redis://user:password@host:6379/0, rediss://... (TLS), unix:///path/to/redis.sock or "
    "redis+sentinel://user:password@host:26379,host:26379/primary/0"
)
REDIS_SENTINEL_PATTERN = re.compile(
    r"rediss?\+sentinel://([^@/]*@)?[^@/:,]+(:\d+)?(,[^@/:,]+(:\d+)?)*/[^/?]+(/\d+)?/?(\?.*)?"
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BRAZILIAN_STATES = (
    "AC AL AM AP BA CE DF ES GO MA MG MS MT PA PB PE PI PR RJ RN RO RR RS SC SE SP TO".split()
)
SECRET_NAMES = (
    "SECRET_KEY",
    "WHATSAPP_TOKEN",
    "WHATSAPP_APP_SECRET",
    "WHATSAPP_VERIFY_TOKEN",
)


class ConfigError(Exception):
    """A setting is missing or wrong; the message names the variable and the fix."""


class ConfigReader:
    """Raw values of all sources, with checks for numbers and required settings."""

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

    def required(self, name: str) -> str:
        if name not in self.values:
            raise ConfigError(
                f"{name} is missing: set it in the environment (see .env.example for what it is)."
            )
        return self.values[name]


def setting(read: Callable[[ConfigReader], Any]) -> Any:
    """Declare a field of Settings that `read` takes from the raw values."""
    return field(metadata={"read": read})


def text(name: str, default: str) -> Any:
    return setting(lambda env: env.values.get(name, default))


def required(name: str, *, in_development: str | None = None) -> Any:
    """Declare a required setting, optionally with a default for development."""
    return setting(
        lambda env: (
            env.required(name)
            if env.is_production or in_development is None
            else env.values.get(name, in_development)
        )
    )


def number(name: str, default: float, low: float, high: float = 1e9) -> Any:
    return setting(lambda env: env.number(name, default, low, high))


def integer(
    name: str, default: int, low: int, high: int, *, in_production: int | None = None
) -> Any:
    def read(env: ConfigReader) -> int:
        fallback = in_production if env.is_production and in_production is not None else default
        return _read_integer(env, name, fallback, low, high)

    return setting(read)


def _read_integer(env: ConfigReader, name: str, default: int, low: int, high: int) -> int:
    value = env.number(name, default, low, high)
    if value != int(value):
        raise ConfigError(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def boolean(name: str, default: bool) -> Any:
    return setting(lambda env: _read_boolean(env, name, default))


def _read_boolean(env: ConfigReader, name: str, default: bool) -> bool:
    value = env.values.get(name, str(default)).lower()
    if value not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ConfigError(f"{name} must be true or false.")
    return value in ("1", "true", "yes", "on")


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
        parts = urlsplit(value) if _is_valid_url(value) else urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{name} must be an address like {default}.")
        return value

    return setting(read)


def time_zone(name: str, default: str) -> Any:
    def read(env: ConfigReader) -> str:
        value = env.values.get(name, default)
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # OSError: the name is a folder of zones
            raise ConfigError(f"{name}: {value!r} is no time zone; try {default}.") from None
        return value

    return setting(read)


def weekly_hours(name: str) -> Any:
    """Declare a setting such as `mon-fri 09:00-19:00, sat 10:00-14:00`: (from, until) minutes per weekday."""

    def read(env: ConfigReader) -> tuple[tuple[int, int] | None, ...] | None:
        text = env.values.get(name, "").strip().lower()
        try:
            return _parse_week(text) if text else None
        except ValueError:
            raise ConfigError(
                f"{name} must look like: mon-fri 09:00-19:00, sat 10:00-14:00 "
                "(days mon to sun; empty for any hour)."
            ) from None

    return setting(read)


def _parse_week(text: str) -> tuple[tuple[int, int] | None, ...]:
    week: list[tuple[int, int] | None] = [None] * 7
    for part in text.split(","):
        days, times = part.split()
        first, _, last = days.partition("-")
        start, end = (_parse_minutes(each) for each in times.split("-"))
        if start >= end:
            raise ValueError(times)
        for day in range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1):
            week[day] = (start, end)
    return tuple(week)


def _parse_minutes(text: str) -> int:
    hour, minute = (int(each) for each in text.split(":"))
    if not (0 <= hour <= 24 and 0 <= minute < 60 and hour * 60 + minute <= 1440):
        raise ValueError(text)
    return hour * 60 + minute


def dates(name: str) -> Any:
    """Declare a setting such as `2026-12-24, 2026-12-31`: a set of dates."""

    def read(env: ConfigReader) -> frozenset[date]:
        parts = (part.strip() for part in env.values.get(name, "").split(","))
        try:
            return frozenset(date.fromisoformat(part) for part in parts if part)
        except ValueError:
            raise ConfigError(f"{name} must be dates such as 2026-12-24, 2026-12-31.") from None

    return setting(read)


def _read_secret_key(env: ConfigReader) -> str:
    key = env.required("SECRET_KEY")
    if len(key) < 32:
        raise ConfigError(
            "SECRET_KEY is shorter than 32 characters: "
            'make one with `python -c "import secrets; print(secrets.token_urlsafe(48))"`.'
        )
    return key


def _read_suppression_key(env: ConfigReader) -> str:
    """Return a key of its own, so that a change of SECRET_KEY loses no opt-outs."""
    derived = hmac.new(
        _read_secret_key(env).encode(), b"prosa suppression", hashlib.sha256
    ).hexdigest()
    key = env.values.get("SUPPRESSION_KEY", derived)
    if len(key) < 32:
        raise ConfigError("SUPPRESSION_KEY is shorter than 32 characters: make it like SECRET_KEY.")
    return key


def _read_database_url(env: ConfigReader) -> str:
    """Return the URL for SQLAlchemy, which does not know Heroku's `postgres://`."""
    url = env.values.get("DATABASE_URL", f"sqlite:///{env.home / 'prosa.db'}")
    scheme, separator, rest = url.partition("://")
    if not separator or not _is_valid_url(url):
        raise ConfigError("DATABASE_URL must look like postgresql://user:password@host/name.")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError(
            f"DATABASE_URL: {scheme} is not supported, use postgresql:// or sqlite:///."
        )
    if scheme == "sqlite" and rest in ("", "/", "/:memory:"):
        # Each connection would have its own database.
        raise ConfigError("DATABASE_URL must name a file, such as sqlite:////var/lib/prosa.db.")
    return url


def _read_redis_url(env: ConfigReader) -> str | None:
    url = env.values.get("REDIS_URL")
    if url is None or not _read_boolean(env, "REDIS_ENABLED", True):
        return None
    if not (REDIS_SENTINEL_PATTERN.fullmatch(url) or _is_redis_server(url)):
        raise ConfigError(f"REDIS_URL must look like {REDIS_URL_EXAMPLES}.")
    return _add_tls_options(env, url) if url.startswith("rediss") else url


def _is_redis_server(url: str) -> bool:
    parts = urlsplit(url) if _is_valid_url(url) else urlsplit("")
    if parts.scheme == "unix":
        return bool(parts.path)
    database = parts.path.strip("/")
    return (
        parts.scheme in ("redis", "rediss")
        and bool(parts.hostname)
        and (not database or database.isdecimal())
    )


def _add_tls_options(env: ConfigReader, url: str) -> str:
    """Add the TLS settings to the URL: which certificates are trusted, by default public authorities'.

    Heroku's Redis has a self-signed certificate.
    """
    authority = env.values.get("REDIS_TLS_CA")
    if not _read_boolean(env, "REDIS_TLS_VERIFY", True):
        trust = {"ssl_cert_reqs": "none", "ssl_check_hostname": "false"}
    elif authority is None:
        return url
    elif not Path(authority).is_file():
        raise ConfigError(f"REDIS_TLS_CA: {authority} is no file; name one of certificates (PEM).")
    else:
        trust = {"ssl_ca_certs": authority}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(trust)}"


def _read_alert_urls(env: ConfigReader) -> tuple[str, ...]:
    urls = tuple(env.values.get("ALERT_URLS", "").split())
    for url in urls:
        if not re.match(r"[a-z][a-z0-9+.-]*://.", url, re.IGNORECASE):
            raise ConfigError(
                "ALERT_URLS must be addresses as Apprise knows them, with spaces between: "
                "mailto://user:password@example.com json://host/path"
            )
    return urls


def _read_simulator_port(env: ConfigReader) -> int | None:
    return (
        None
        if "WHATSAPP_API_URL" in env.values
        else _read_integer(env, "SIMULATOR_PORT", 8010, 1, 65535)
    )


def _is_valid_url(url: str) -> bool:
    """Return whether host and port are valid; `urlsplit` checks the port only when it is read."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process. Durations end in `_s` and are in seconds."""

    environment: str = setting(lambda env: env.values["PROSA_ENV"])
    home: Path = setting(lambda env: env.home)
    port: int = integer("PORT", 8000, 1, 65535)
    secret_key: str = setting(_read_secret_key)
    # Key of the hashes of opted-out phones, which outlive their contact. Changing it loses them.
    suppression_key: str = setting(_read_suppression_key)
    database_url: str = setting(_read_database_url)
    redis_url: str | None = setting(_read_redis_url)
    redis_enabled: bool = boolean("REDIS_ENABLED", True)
    # Most connections per process; the Procfile's default formation stays within 20 in total.
    redis_connections: int = integer("REDIS_CONNECTIONS", 3, 1, 1000)
    # Port of the simulator that `make run` starts; None with WHATSAPP_API_URL set.
    simulator_port: int | None = setting(_read_simulator_port)
    whatsapp_api_url: str = address("WHATSAPP_API_URL", GRAPH_URL)
    whatsapp_token: str = required("WHATSAPP_TOKEN")
    whatsapp_phone_number_id: str = required(
        "WHATSAPP_PHONE_NUMBER_ID", in_development="106540352242922"
    )
    whatsapp_business_account_id: str = required(
        "WHATSAPP_BUSINESS_ACCOUNT_ID", in_development="102290129340398"
    )
    whatsapp_app_secret: str = required("WHATSAPP_APP_SECRET")
    # Previous secret: both are accepted while it is being changed at Meta and here.
    whatsapp_app_secret_previous: str = text("WHATSAPP_APP_SECRET_PREVIOUS", "")
    whatsapp_verify_token: str = required("WHATSAPP_VERIFY_TOKEN")
    webhook_retention_days: int = integer("WEBHOOK_KEEP_DAYS", 30, 1, 3650)
    doubt_window_s: float = number("DOUBT_WINDOW_S", 86_400, 0.1)
    # Largest stored file of a contact (Meta forwards up to 100 MB), and size of the disk cache.
    media_max_mb: int = integer("MEDIA_MAX_MB", 100, 1, 100)
    media_cache_mb: int = integer("MEDIA_CACHE_MB", 512, 0, 1_000_000)
    # Whether contacts see that their message was read and that an answer is being typed.
    read_receipts: bool = boolean("READ_RECEIPTS", True)
    # Timeout of one call to Meta; the lease of a claim is three times as long.
    call_timeout_s: float = number("WHATSAPP_TIMEOUT_S", 15, 1, 60)
    messages_per_second: int = integer("MESSAGES_PER_SECOND", 80, 1, 1000)
    campaign_workers: int = integer("CAMPAIGN_WORKERS", 1, 1, 64)
    web_workers: int = integer("WEB_CONCURRENCY", 2, 1, 64)
    web_threads: int = integer("WEB_THREADS", 8, 1, 64)
    # Hours in which campaigns may send, in the company's time zone; None: at any hour.
    sending_hours: tuple[tuple[int, int] | None, ...] | None = weekly_hours("SENDING_HOURS")
    holiday_calendar: str = choice(
        "SENDING_HOLIDAYS", "BR", "", "BR", *(f"BR-{s}" for s in BRAZILIAN_STATES)
    )
    days_off: frozenset[date] = dates("SENDING_DAYS_OFF")
    attribution_hours: int = integer("ATTRIBUTION_HOURS", 24, 1, 720)
    max_failures_percent: int = integer("CAMPAIGN_MAX_FAILURES_PERCENT", 30, 1, 100)
    company_name: str = text("COMPANY_NAME", "Vento Sul Fibra")
    timezone: str = time_zone("PROSA_TIMEZONE", "America/Sao_Paulo")
    locale: str = choice("PROSA_LOCALE", "pt_BR", "pt_BR", "en")
    log_level: str = choice("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR")
    # Bearer token for /metrics from other machines; without one only this machine may read it.
    metrics_token: str = text("METRICS_TOKEN", "")
    # Targets of alerts as Apprise URLs: mailto://, tgram://, json://, slack:// and a hundred more.
    alert_urls: tuple[str, ...] = setting(_read_alert_urls)
    # How long a problem must last before it is reported, and be over before that is reported.
    alert_hold_s: float = number("ALERT_HOLD_S", 60, 0, 86_400)
    alert_every_s: float = number("ALERT_EVERY_S", 15, 0.1, 3600)
    alert_memory_percent: float = number("ALERT_MEMORY_PERCENT", 80, 1, 100)
    alert_hit_rate_percent: float = number("ALERT_HIT_RATE_PERCENT", 70, 0, 100)
    alert_connections: int = integer("ALERT_CONNECTIONS", 1000, 1, 1_000_000)
    alert_queue_age_s: float = number("ALERT_QUEUE_AGE_S", 300, 1)
    alert_webhook_backlog: int = integer("ALERT_WEBHOOK_BACKLOG", 5000, 1, 1_000_000_000)
    trusted_proxies: int = integer("TRUSTED_PROXIES", 0, 0, 8, in_production=1)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"


def load(
    environ: Mapping[str, str] | None = None, root: Path = ROOT, *, use_run_env: bool = True
) -> Settings:
    """Read and check all settings. Only `make run` itself passes `use_run_env=False`.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    given = dict(os.environ) if environ is None else dict(environ)
    env = ConfigReader(_merge_sources(given, root, use_run_env))
    return Settings(**{name.name: name.metadata["read"](env) for name in fields(Settings)})


def _merge_sources(environ: dict[str, str], root: Path, use_run_env: bool) -> dict[str, str]:
    values = {**_read_env_file(root / ".env"), **{k: v for k, v in environ.items() if v != ""}}
    # Heroku sets DYNO: such a host is never a development machine.
    values.setdefault("PROSA_ENV", "production" if "DYNO" in values else "development")
    if values["PROSA_ENV"] not in ("production", "development"):
        raise ConfigError("PROSA_ENV must be production or development.")
    values["PROSA_HOME"] = str((root / values.get("PROSA_HOME", "var")).resolve())
    if values["PROSA_ENV"] == "production":
        return values
    home = Path(values["PROSA_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"PROSA_HOME: {home} can't be made ({error.strerror}): name a folder you may write to."
        ) from None
    running = _read_env_file(home / "run.env") if use_run_env else {}
    return {**_load_machine_secrets(home), **running, **values}


def _read_env_file(path: Path) -> dict[str, str]:
    return {k: v for k, v in dotenv_values(path).items() if v} if path.is_file() else {}


def _load_machine_secrets(home: Path) -> dict[str, str]:
    """Return the secrets of this machine, created at the first start in a file of mode 0600."""
    path = home / "secrets.env"
    if not path.exists():
        made = home / f".secrets.{os.getpid()}"
        with os.fdopen(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.writelines(f"{name}={secrets.token_urlsafe(32)}\n" for name in SECRET_NAMES)
        # Two processes may start at once on a new machine: creating a link is atomic.
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    found = _read_env_file(path)
    missing = [name for name in SECRET_NAMES if name not in found]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}: delete it to have all made anew.")
    return found
