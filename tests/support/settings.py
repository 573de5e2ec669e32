from __future__ import annotations

from pathlib import Path
from typing import Any

import config

SECRETS = {
    "SECRET_KEY": "test-secret-key-of-more-than-32-characters",
    "WHATSAPP_TOKEN": "test-token",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
    "WHATSAPP_BUSINESS_ACCOUNT_ID": "102290129340398",
    "WHATSAPP_APP_SECRET": "test-app-secret",
    "WHATSAPP_VERIFY_TOKEN": "test-verify-token",
}


def environment(home: Path, **changes: Any) -> dict[str, str]:
    """Return the environment variables of a process under test; a change to None removes one."""
    given = {
        "PROSA_ENV": "development",
        "PROSA_HOME": str(home),
        "READ_RECEIPTS": "false",  # only their own tests need them
        **SECRETS,
        **changes,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def make_settings(home: Path, **changes: Any) -> config.Settings:
    """Return the settings that a process with `environment(home, ...)` reads."""
    return config.load(environment(home, **changes), root=home)
