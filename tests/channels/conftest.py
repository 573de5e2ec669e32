from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from tests.support.meta_media_server import MetaMediaServer


@pytest.fixture
def meta() -> Iterator[MetaMediaServer]:
    with MetaMediaServer() as server:
        yield server


@pytest.fixture
def app(any_app: Flask, meta: MetaMediaServer) -> Flask:
    """Application on every database, connected to the test's own media server."""
    settings = any_app.extensions["prosa_settings"]
    any_app.extensions["prosa_settings"] = replace(
        settings, whatsapp_api_url=meta.url, media_max_mb=1, read_receipts=True
    )
    return any_app
