from __future__ import annotations

import os
import re
import stat
import threading
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

import config
from config import SECRET_NAMES, ConfigError, Settings
from tests.support.settings import SECRETS

REQUIRED = {
    **SECRETS,
    "DATABASE_URL": "postgresql://prosa@database/prosa",
    "COMPANY_NAME": "Colégio Aurora",
}
PRODUCTION = {"PROSA_ENV": "production", **REQUIRED}


EVERY_SECRET = {
    "SECRET_KEY_FALLBACKS": "o" * 32,
    "SUPPRESSION_KEY": "s" * 32,
    "WHATSAPP_APP_SECRET_PREVIOUS": "former",
    "METRICS_TOKEN": "metrics",
    "REDIS_URL": "redis://:password@redis:6379/0",
    "ALERT_URLS": "json://alerts.example",
}


def load(root: Path, **environ: str) -> Settings:
    return config.load(environ, root=root)


INVALID_SETTINGS = [
    ("PORT", "abc", "number from 1 to 65535"),
    ("PORT", "0", "number from 1 to 65535"),
    ("PORT", "80.5", "whole number"),
    ("PORT", "nan", "number from"),
    ("SECRET_KEY", "short", "32 characters"),
    ("WHATSAPP_TOKEN", "EAAG\n123", "one word"),
    ("WHATSAPP_TOKEN", "EAAG 123", "one word"),
    ("WHATSAPP_TOKEN", "“EAAG123”", "one word"),
    ("SECRET_KEY_FALLBACKS", "short", "former values of SECRET_KEY"),
    ("DATABASE_URL", "mysql://h/db", "postgresql://"),
    ("DATABASE_URL", "nonsense", "postgresql://"),
    ("DATABASE_URL", "postgresql://u:p@host:port/db", "postgresql://"),
    ("DATABASE_URL", "sqlite://", "file"),
    ("DATABASE_URL", "sqlite:///:memory:", "file"),
    ("REDIS_URL", "localhost:6379", "redis://"),
    ("REDIS_URL", "http://localhost", "redis://"),
    ("REDIS_URL", "redis://", "redis://"),
    ("REDIS_URL", "unix://", "unix:///"),
    ("REDIS_URL", "redis://localhost:port/0", "redis://"),
    ("REDIS_URL", "redis://[::1/0", "redis://"),
    ("REDIS_ENABLED", "maybe", "true or false"),
    ("DOUBT_WINDOW_S", "-1", "number from"),
    ("DOUBT_WINDOW_S", "inf", "number from"),
    ("WHATSAPP_API_URL", "graph.facebook.com", "https://graph"),
    ("WHATSAPP_API_URL", "http://host:port", "https://graph"),
    ("MESSAGES_PER_SECOND", "0", "from 1"),
    ("CAMPAIGN_WORKERS", "65", "to 64"),
    ("WEB_CONCURRENCY", "many", "number"),
    ("WEB_THREADS", "0", "from 1"),
    ("PROSA_TIMEZONE", "America/Gotham", "America/Sao_Paulo"),
    ("PROSA_TIMEZONE", "America", "America/Sao_Paulo"),
    ("PROSA_TIMEZONE", "../etc/passwd", "America/Sao_Paulo"),
    ("PROSA_LOCALE", "fr", "pt_BR"),
    ("LOG_LEVEL", "LOUD", "INFO"),
    ("TRUSTED_PROXIES", "-1", "from 0"),
    ("PROSA_ENV", "staging", "production or development"),
]


@pytest.mark.parametrize(("name", "value", "fix"), INVALID_SETTINGS)
def test_an_invalid_setting_is_named_with_its_fix(
    tmp_path: Path, name: str, value: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, **{**SECRETS, name: value})
    assert str(raised.value).startswith(name)
    assert fix in str(raised.value)


def test_a_home_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^PROSA_HOME: .* folder you may write to"):
        load(tmp_path, PROSA_HOME="file/home")


@pytest.mark.parametrize("name", REQUIRED)
def test_production_without_what_it_needs_refuses_to_start(tmp_path: Path, name: str) -> None:
    without = {key: value for key, value in PRODUCTION.items() if key != name}
    with pytest.raises(ConfigError, match=f"^{name} is missing"):
        load(tmp_path, **without)
    with pytest.raises(ConfigError, match=f"^{name} is missing"):
        load(tmp_path, **{**PRODUCTION, name: ""})
    assert not (tmp_path / "var").exists(), "production makes no secrets of its own"


def test_development_creates_its_secrets_once_for_their_owner_only(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert first == second
    assert len(first.secret_key) >= 32
    assert len({first.whatsapp_token, first.whatsapp_app_secret, first.secret_key}) == 3
    mode = stat.S_IMODE((tmp_path / "var" / "secrets.env").stat().st_mode)
    assert mode == 0o600
    assert sorted(os.listdir(tmp_path / "var")) == ["secrets.env"]


def test_processes_that_start_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    """Threads stand for processes; they start one by one, since the temporary file is named by process."""
    keys: set[str] = set()
    lock = threading.Lock()

    def start() -> None:
        with lock:
            keys.add(load(tmp_path).secret_key)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 1


def test_a_damaged_secrets_file_is_reported_with_its_fix(tmp_path: Path) -> None:
    load(tmp_path)
    path = tmp_path / "var" / "secrets.env"
    path.write_text("SECRET_KEY=" + "x" * 40)
    with pytest.raises(ConfigError, match=r"secrets.env lacks WHATSAPP_TOKEN.*delete it"):
        load(tmp_path)
    assert set(SECRET_NAMES) >= {"SECRET_KEY", "WHATSAPP_TOKEN"}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////data/p.db", "sqlite:////data/p.db"),
    ],
)
def test_every_usual_form_of_a_database_url_is_accepted(
    tmp_path: Path, given: str, used: str
) -> None:
    assert load(tmp_path, DATABASE_URL=given).database_url == used


def test_a_dyno_is_production(tmp_path: Path) -> None:
    assert load(tmp_path, DYNO="web.1", **REQUIRED).is_production
    assert not load(tmp_path, **SECRETS).is_production
    with pytest.raises(ConfigError, match="SECRET_KEY is missing"):
        load(tmp_path, DYNO="web.1")


def test_redis_is_optional_and_can_be_switched_off(tmp_path: Path) -> None:
    assert load(tmp_path).redis_url is None
    url = "rediss://:pw@h:6380/0"
    assert load(tmp_path, REDIS_URL=url).redis_url == url
    assert load(tmp_path, REDIS_URL=url, REDIS_ENABLED="off").redis_url is None


def test_the_first_source_with_a_value_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nCOMPANY_NAME=Dotenv\nLOG_LEVEL=\n")
    load(tmp_path)
    (tmp_path / "var" / "run.env").write_text("PORT=2222\nREDIS_URL=unix:///run/r.sock\n")
    found = load(tmp_path, COMPANY_NAME="Environment", PORT="")
    assert (found.port, found.company_name, found.log_level) == (1111, "Environment", "INFO")
    assert found.redis_url == "unix:///run/r.sock"
    produced = load(tmp_path, **PRODUCTION)
    assert produced.redis_url is None, "run.env belongs to `make run`, not to production"


@pytest.mark.parametrize("field", [field for field in fields(Settings) if not field.repr])
def test_white_space_around_a_secret_is_not_part_of_it(tmp_path: Path, field: Field[Any]) -> None:
    given = {**PRODUCTION, **EVERY_SECRET}
    padded = {name: f" \t{value}\r\n" for name, value in given.items()}
    found = getattr(load(tmp_path, **padded), field.name)
    assert found == getattr(load(tmp_path, **given), field.name)
    assert found


def test_white_space_around_a_value_is_not_part_of_it(tmp_path: Path) -> None:
    pasted = load(tmp_path, WHATSAPP_TOKEN="EAAG123\n", REDIS_URL=" redis://localhost:6379/0 ")
    assert (pasted.whatsapp_token, pasted.redis_url) == ("EAAG123", "redis://localhost:6379/0")
    with pytest.raises(ConfigError, match="SECRET_KEY is missing"):
        load(tmp_path, **{**PRODUCTION, "SECRET_KEY": " \n"})


def test_former_secret_keys_are_read_in_their_order(tmp_path: Path) -> None:
    older, oldest = "o" * 32, "p" * 40
    found = load(tmp_path, SECRET_KEY_FALLBACKS=f"{older} {oldest}")
    assert found.secret_key_fallbacks == (older, oldest)


def test_the_example_lists_every_variable_that_is_read() -> None:
    """Each name that the code reads stands in .env.example, and nothing else does."""
    read = set()
    for module in ("config.py", "config_readers.py"):
        source = (config.ROOT / module).read_text(encoding="utf-8")
        read |= set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT)"', source))
    example = (config.ROOT / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert listed == read - {"RQ_KEY_PREFIX"}
