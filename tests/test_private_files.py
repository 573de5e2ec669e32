"""No file of Prosa can be read by another user of the machine, even with a umask of 0."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot import create_app
from chatbot.channels.media.disk_cache import get_cached_path
from chatbot.channels.media.files import queue_upload
from chatbot.channels.service import get_default_channel
from chatbot.core.db import db
from chatbot.extensions import alembic
from tests.support.permissions import list_open_paths
from tests.support.settings import make_settings
from workers import launch


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_home_secrets_and_the_database_with_its_log_are_private(tmp_path: Path) -> None:
    home = tmp_path / "new"
    app = create_app(make_settings(home))
    with app.app_context():
        alembic.upgrade()
        db.session.execute(sa.text("SELECT 1"))
        names = {path.name for path in home.iterdir()}
        assert names >= {"prosa.db", "prosa.db-wal", "secrets.env"}
        assert list_open_paths(home) == []
        db.session.rollback()
        db.engine.dispose()


def test_files_that_others_may_read_are_tightened(tmp_path: Path) -> None:
    home = tmp_path / "var"
    home.mkdir()
    make_settings(home)
    for name in ("prosa.db", "prosa.db-wal", "sign-in.txt", "run.env"):
        (home / name).touch()
    for path in home.iterdir():
        path.chmod(0o644)
    create_app(make_settings(home))
    launch._create_admin(home, {})
    launch.write_private_file(home / "run.env", "DATABASE_URL='postgresql://:password@db/prosa'\n")
    assert list_open_paths(home) == []


def test_cached_media_are_private(app: Flask, tmp_path: Path) -> None:
    app.extensions["prosa_settings"] = make_settings(tmp_path / "new")
    app.extensions["prosa_current_settings"] = lambda: app.extensions["prosa_settings"]
    file = queue_upload(get_default_channel().id, io.BytesIO(b"%PDF-1.4 boleto"), "boleto.pdf")
    db.session.commit()
    assert get_cached_path(file).read_bytes() == b"%PDF-1.4 boleto"
    assert list_open_paths(tmp_path / "new") == []


def test_a_folder_of_several_uses_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    tmp_path.chmod(0o755)
    make_settings(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
