"""Every setting of Prosa with its default and limits, and the only reader of the environment.

A setting comes from, first found: the environment; `.env` in the working folder; and in development
`PROSA_HOME/run.env` (written by a running `make run`, so that `flask ...` in another terminal uses the
same Redis and simulator) and `PROSA_HOME/secrets.env` (made once for this machine). `config_readers.py`
says how a text becomes a value. `chatbot/company/editable.py` lists what a company may change in the panel.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

import config_readers as read
from config_readers import ConfigError as ConfigError  # ours, for all who load settings
from config_readers import (
    ConfigReader,
    address,
    boolean,
    choice,
    dates,
    header_token,
    integer,
    number,
    required,
    setting,
    text,
    time_zone,
    weekly_hours,
)
from private_files import make_new_files_private, make_private_folder, tighten, write_private_file
from sending_week import Week

# RQ reads its key prefix at import, so it is set before anything can import rq.
os.environ["RQ_KEY_PREFIX"] = "prosa:rq"

ROOT = Path(__file__).resolve().parent
GRAPH_URL = "https://graph.facebook.com/v25.0"
BRAZILIAN_STATES = tuple(
    "AC AL AM AP BA CE DF ES GO MA MG MS MT PA PB PE PI PR RJ RN RO RR RS SC SE SP TO".split()
)
SECRET_NAMES = ("SECRET_KEY", "WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process. Durations end in `_s` and are seconds."""

    environment: str = setting(lambda env: env.values["PROSA_ENV"])
    home: Path = setting(lambda env: env.home)
    port: int = integer("PORT", 8000, 1, 65535)
    secret_key: str = setting(read.read_secret_key, secret=True)
    # Older keys, newest first: they still read sessions and stored secrets, and write nothing.
    secret_key_fallbacks: tuple[str, ...] = setting(read.read_secret_key_fallbacks, secret=True)
    # Key of the hashes of opted-out phones, which outlive their contact. Changing it loses them.
    suppression_key: str = setting(read.read_suppression_key, secret=True)
    database_url: str = setting(read.read_database_url, secret=True)
    # Most connections to PostgreSQL per process, and how many stay open; the default formation fits into 20.
    database_connections: int = integer("DATABASE_CONNECTIONS", 3, 2, 1000)
    database_idle_connections: int = integer("DATABASE_IDLE_CONNECTIONS", 2, 1, 1000)
    database_statement_timeout_s: int = integer("DATABASE_STATEMENT_TIMEOUT_S", 60, 1, 86_400)
    redis_url: str | None = setting(read.read_redis_url, secret=True)
    redis_enabled: bool = boolean("REDIS_ENABLED", True)
    # Most connections per process; the Procfile's default formation stays within 20 in total.
    redis_connections: int = integer("REDIS_CONNECTIONS", 3, 1, 1000)
    # Port of the simulator that `make run` starts; None with WHATSAPP_API_URL set.
    simulator_port: int | None = setting(read.read_simulator_port)
    whatsapp_api_url: str = address("WHATSAPP_API_URL", GRAPH_URL)
    whatsapp_token: str = header_token("WHATSAPP_TOKEN")
    whatsapp_phone_number_id: str = required(
        "WHATSAPP_PHONE_NUMBER_ID", in_development="106540352242922"
    )
    whatsapp_business_account_id: str = required(
        "WHATSAPP_BUSINESS_ACCOUNT_ID", in_development="102290129340398"
    )
    whatsapp_app_secret: str = required("WHATSAPP_APP_SECRET", secret=True)
    # The former secret: both are accepted while it is changed at Meta and here.
    whatsapp_app_secret_previous: str = text("WHATSAPP_APP_SECRET_PREVIOUS", "", secret=True)
    whatsapp_verify_token: str = required("WHATSAPP_VERIFY_TOKEN", secret=True)
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
    max_waiting_connections: int = integer("MAX_WAITING_CONNECTIONS", 1000, 10, 100_000)
    header_timeout_s: float = number("HEADER_TIMEOUT_S", 10, 1, 120)
    # Hours in which campaigns may send, in the company's time zone; None: at any hour.
    sending_hours: Week | None = weekly_hours("SENDING_HOURS")
    holiday_calendar: str = choice(
        "SENDING_HOLIDAYS", "BR", "", "BR", *(f"BR-{s}" for s in BRAZILIAN_STATES)
    )
    days_off: frozenset[date] = dates("SENDING_DAYS_OFF")
    attribution_hours: int = integer("ATTRIBUTION_HOURS", 24, 1, 720)
    max_failures_percent: int = integer("CAMPAIGN_MAX_FAILURES_PERCENT", 30, 1, 100)
    company_name: str = required("COMPANY_NAME", in_development="Vento Sul Fibra")
    company_legal_name: str = text("COMPANY_LEGAL_NAME", "")
    company_tax_id: str = text("COMPANY_TAX_ID", "")
    company_address: str = text("COMPANY_ADDRESS", "")
    timezone: str = time_zone("PROSA_TIMEZONE", "America/Sao_Paulo")
    locale: str = choice("PROSA_LOCALE", "pt_BR", "pt_BR", "en")
    log_level: str = choice("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR")
    # Bearer token for /metrics. In development this machine needs none.
    metrics_token: str = text("METRICS_TOKEN", "", secret=True)
    # Where alerts are sent, as Apprise addresses: mailto://, tgram://, json://, slack:// and a hundred more.
    alert_urls: tuple[str, ...] = setting(read.read_alert_urls, secret=True)
    # How long a problem must last before an alert is sent, and be over before its end is reported.
    alert_hold_s: float = number("ALERT_HOLD_S", 60, 0, 86_400)
    alert_every_s: float = number("ALERT_EVERY_S", 15, 0.1, 3600)
    alert_memory_percent: float = number("ALERT_MEMORY_PERCENT", 80, 1, 100)
    alert_hit_rate_percent: float = number("ALERT_HIT_RATE_PERCENT", 70, 0, 100)
    alert_connections: int = integer("ALERT_CONNECTIONS", 1000, 1, 1_000_000)
    alert_queue_age_s: float = number("ALERT_QUEUE_AGE_S", 300, 1)
    alert_webhook_backlog: int = integer("ALERT_WEBHOOK_BACKLOG", 5000, 1, 1_000_000_000)
    # WebSockets per web process.
    live_sockets_per_session: int = integer("LIVE_SOCKETS_PER_SESSION", 50, 1, 100_000)
    live_sockets_per_address: int = integer("LIVE_SOCKETS_PER_ADDRESS", 2000, 1, 100_000)
    live_handshakes_per_minute: int = integer("LIVE_HANDSHAKES_PER_MINUTE", 1000, 1, 1_000_000)
    trusted_proxies: int = integer("TRUSTED_PROXIES", 0, 0, 8, in_production=1)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"


def read_setting(settings: Settings, field: str, name: str, value: str) -> Any:
    """Return what the setting in `field` would be with `value` for its variable `name`.

    Raises:
        ConfigError: the value is wrong.
    """
    values = {"PROSA_ENV": settings.environment, "PROSA_HOME": str(settings.home), name: value}
    (found,) = (each for each in fields(Settings) if each.name == field)
    return found.metadata["read"](ConfigReader(values))


def load(
    environ: Mapping[str, str] | None = None, root: Path = ROOT, *, use_run_env: bool = True
) -> Settings:
    """Read and check all settings; `run.env` counts too unless `use_run_env` is false.

    Raises:
        ConfigError: a value is missing or wrong; names the variable and the fix.
    """
    make_new_files_private()
    given = dict(os.environ) if environ is None else dict(environ)
    env = ConfigReader(_merge_sources(given, root, use_run_env))
    return Settings(**{name.name: name.metadata["read"](env) for name in fields(Settings)})


def _merge_sources(environ: dict[str, str], root: Path, use_run_env: bool) -> dict[str, str]:
    values = {**_read_env_file(root / ".env"), **read.without_blank(environ)}
    # Heroku sets DYNO, so a host that is not somebody's own machine is never "development".
    values.setdefault("PROSA_ENV", "production" if "DYNO" in values else "development")
    if values["PROSA_ENV"] not in ("production", "development"):
        raise ConfigError("PROSA_ENV must be production or development.")
    values["PROSA_HOME"] = str((root / values.get("PROSA_HOME", "var")).resolve())
    if values["PROSA_ENV"] == "production":
        return values
    home = Path(values["PROSA_HOME"])
    try:
        _make_home(home, is_default=home == root / "var")
    except OSError as error:
        raise ConfigError(
            f"PROSA_HOME: {home} can't be made ({error.strerror}): name a folder you may write to."
        ) from None
    running = _read_env_file(home / "run.env") if use_run_env else {}
    return {**_load_machine_secrets(home), **running, **values}


def _make_home(home: Path, *, is_default: bool) -> None:
    """Create the folder. One that an operator made for several uses keeps its rights."""
    if is_default or not home.exists() or not any(home.iterdir()):
        make_private_folder(home)


def _read_env_file(path: Path) -> dict[str, str]:
    return read.without_blank(dotenv_values(path)) if path.is_file() else {}


def _load_machine_secrets(home: Path) -> dict[str, str]:
    """Return the secrets of this machine, made at the first start and readable by its owner only."""
    path = home / "secrets.env"
    tighten(path)
    if not path.exists():
        made = home / f".secrets.{os.getpid()}"
        lines = (f"{name}={secrets.token_urlsafe(32)}\n" for name in SECRET_NAMES)
        write_private_file(made, "".join(lines))
        # Two processes may start at once on a new machine: creating a link is atomic.
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    found = _read_env_file(path)
    missing = [name for name in SECRET_NAMES if name not in found]
    if missing:
        raise ConfigError(
            f"{path} lacks {', '.join(missing)}: delete it, and all are made again at the next start."
        )
    return found
