"""Transfer of files from and to Meta: checked by content, stored in SQL, cached on disk."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.channels.media import files as media_files
from chatbot.channels.media.disk_cache import get_cached_path
from chatbot.channels.media.files import (
    MAX_ATTEMPTS,
    claim_transfers,
    mark_uploaded,
    queue_download,
    queue_upload,
)
from chatbot.channels.media.models import MediaChunk, MediaFile
from chatbot.core.db import db
from chatbot.media_transfers.tasks import transfer_media
from tests.support.factories import make_channel
from tests.support.meta_media_server import HTML, JPEG, OGG, PDF, PNG, TOKEN, MetaMediaServer


def want_inbound_file(kind: str = "image", mime_type: str = "image/jpeg", **payload: Any) -> int:
    given = {"id": "77", "mime_type": mime_type, "sha256": "x", **payload}
    file = queue_download(make_channel().id, kind, given)
    assert file is not None
    file_id = file.id  # read before the commit: reading it after would open a transaction
    db.session.commit()
    return file_id


def keep_outbound_file(content: bytes, name: str) -> int:
    file = queue_upload(make_channel().id, io.BytesIO(content), name)
    file_id = file.id  # read before the commit: reading it after would open a transaction
    db.session.commit()
    return file_id


def reload_file(file_id: int) -> MediaFile:
    db.session.rollback()
    found = db.session.get_one(MediaFile, file_id, populate_existing=True)
    db.session.expunge_all()
    db.session.rollback()
    return found


def make_due() -> None:
    db.session.execute(sa.text("UPDATE media_files SET due_at = '2020-01-01'"))
    db.session.commit()


def count_chunks() -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(MediaChunk)) or 0
    db.session.rollback()
    return found


def test_a_contacts_file_is_downloaded_stored_in_chunks_and_cached_on_disk(
    app: Flask, meta: MetaMediaServer
) -> None:
    content = JPEG + bytes(range(256)) * 3000
    meta.files["77"] = content
    file_id = want_inbound_file()
    assert transfer_media() == 0
    assert transfer_media() is None
    file = reload_file(file_id)
    assert (file.transfer, file.problem, file.size, file.mime_type) == (
        None,
        None,
        len(content),
        "image/jpeg",
    )
    assert count_chunks() == -(-len(content) // media_files.CHUNK_BYTES) == 3
    for _ in range(2):
        assert get_cached_path(file).read_bytes() == content
    get_cached_path(file).unlink()  # the disk is only a cache
    assert get_cached_path(file).read_bytes() == content


def test_an_expired_address_is_looked_up_again(app: Flask, meta: MetaMediaServer) -> None:
    meta.files["77"] = PDF
    meta.expired_urls = 1
    file_id = want_inbound_file("document", "application/pdf", filename="../../boleto maio.pdf")
    transfer_media()
    assert (reload_file(file_id).size, meta.lookup_count) == (len(PDF), 2)
    assert reload_file(file_id).file_name == "boleto maio.pdf"
    assert meta.downloads == [TOKEN, TOKEN]


MISLABELLED_FILES = {
    "a page as a picture": ("image", "image/jpeg", HTML),
    "a picture of another type": ("image", "image/jpeg", PNG),
    "a program as a PDF": ("document", "application/pdf", b"MZ\x90\0" + b"\0" * 99),
    "a PDF as a recording": ("audio", "audio/ogg; codecs=opus", PDF),
    "nothing at all": ("image", "image/png", b""),
    "bytes as text": ("document", "text/plain", b"ab\0\1"),
}


@pytest.mark.parametrize("case", MISLABELLED_FILES)
def test_a_mislabelled_file_is_refused_and_not_kept(
    app: Flask, meta: MetaMediaServer, case: str
) -> None:
    kind, mime_type, meta.files["77"] = MISLABELLED_FILES[case]
    file_id = want_inbound_file(kind, mime_type)
    transfer_media()
    file = reload_file(file_id)
    assert (file.problem, file.transfer, file.sha256, count_chunks()) == (
        "not_what_it_says",
        None,
        None,
        0,
    )


LABELLED_FILES = {
    "a recording": ("audio", "audio/ogg; codecs=opus", OGG, "audio/ogg"),
    "an older recording": ("voice", "audio/ogg", OGG, "audio/ogg"),
    "a zip as it says": ("document", "application/zip", b"PK\3\4" + b"\0" * 9, "application/zip"),
    "a type nobody knows": ("document", "application/x-cad", b"\1\2\3", "application/octet-stream"),
    "a table": ("document", "text/csv", "nome;dívida\n".encode("latin-1"), "text/plain"),
}


@pytest.mark.parametrize("case", LABELLED_FILES)
def test_a_correctly_labelled_file_is_kept_under_its_type(
    app: Flask, meta: MetaMediaServer, case: str
) -> None:
    kind, mime_type, meta.files["77"], kept = LABELLED_FILES[case]
    file_id = want_inbound_file(kind, mime_type)
    transfer_media()
    assert (reload_file(file_id).mime_type, reload_file(file_id).problem) == (kept, None)


def test_the_token_is_sent_only_to_meta(app: Flask, meta: MetaMediaServer) -> None:
    with MetaMediaServer(files={"77": JPEG}) as stranger:
        meta.files["77"] = JPEG
        for url in (
            f"{stranger.origin}/file/77",
            "https://fbsbx.com.evil.example/x",
            "http://[::1",
        ):
            meta.says = {"url": url}
            file_id = want_inbound_file()
            transfer_media()
            assert reload_file(file_id).problem == "untrusted"
        assert stranger.downloads == []


@pytest.mark.parametrize("says", [{}, {"file_size": 1}, {"file_size": None}])
def test_a_file_above_the_limit_is_not_kept_even_if_its_declared_size_is_smaller(
    app: Flask, meta: MetaMediaServer, says: dict[str, Any]
) -> None:
    meta.files["77"] = JPEG + b"\0" * 1024 * 1024
    meta.says = says
    file_id = want_inbound_file()
    transfer_media()
    assert (reload_file(file_id).problem, count_chunks()) == ("too_large", 0)
    assert meta.downloads == ([] if not says else [TOKEN])


def test_a_file_that_meta_no_longer_has_is_marked_as_gone(
    app: Flask, meta: MetaMediaServer
) -> None:
    file_id = want_inbound_file()
    transfer_media()
    assert (reload_file(file_id).problem, reload_file(file_id).transfer) == ("gone", None)


def test_a_temporary_failure_is_retried_later_and_finally_given_up(
    app: Flask, meta: MetaMediaServer
) -> None:
    meta.files["77"] = JPEG
    meta.says = {"url": None}
    file_id = want_inbound_file()
    for attempt in range(1, MAX_ATTEMPTS):
        make_due()
        transfer_media()
        assert (reload_file(file_id).problem, reload_file(file_id).attempts) == (None, attempt)
        assert transfer_media() is None, "it waits before it tries again"
    make_due()
    transfer_media()
    assert (reload_file(file_id).problem, reload_file(file_id).transfer) == ("failed", None)


def test_a_dead_workers_transfer_is_taken_over_and_a_late_worker_writes_nothing(
    app: Flask, meta: MetaMediaServer
) -> None:
    file_id = keep_outbound_file(PNG, "foto.png")
    (frozen,) = claim_transfers(4)
    assert claim_transfers(4) == []
    make_due()  # its lease is over
    transfer_media()
    assert reload_file(file_id).media_id == "9001"
    mark_uploaded(frozen, "late")
    assert reload_file(file_id).media_id == "9001"


def test_a_file_is_uploaded_once_in_thirty_days(app: Flask, meta: MetaMediaServer) -> None:
    first = keep_outbound_file(JPEG, "foto.jpg")
    assert keep_outbound_file(JPEG, "a mesma.jpeg") == first, "it is just being uploaded"
    transfer_media()
    assert meta.uploads == [{"messaging_product": b"whatsapp", "type": b"image/jpeg", "file": JPEG}]
    assert keep_outbound_file(JPEG, "foto.jpg") == first
    assert transfer_media() is None
    db.session.execute(sa.text("UPDATE media_files SET media_id_expires_at = '2020-01-01'"))
    db.session.commit()
    assert keep_outbound_file(JPEG, "foto.jpg") != first


def test_an_upload_that_meta_refuses_is_not_tried_again(app: Flask, meta: MetaMediaServer) -> None:
    meta.upload_answers = [(400, {"error": {"code": 131053, "message": "no"}})]
    file_id = keep_outbound_file(PNG, "foto.png")
    transfer_media()
    assert (reload_file(file_id).problem, reload_file(file_id).transfer) == ("refused", None)
    meta.upload_answers = [(503, b"<html>"), (400, {"error": {"code": 190, "message": "token"}})]
    file_id = keep_outbound_file(JPEG, "foto.jpg")
    for _ in range(2):
        make_due()
        transfer_media()
        assert (reload_file(file_id).problem, reload_file(file_id).transfer) == (None, "upload")
    make_due()
    transfer_media()
    assert reload_file(file_id).media_id is not None


def test_the_disk_cache_keeps_the_most_recently_read_files(
    app: Flask, meta: MetaMediaServer
) -> None:
    meta.files["77"] = JPEG + b"\0" * 600_000
    paths = []
    app.extensions["prosa_settings"] = replace(app.extensions["prosa_settings"], media_cache_mb=1)
    for _ in range(3):
        file_id = want_inbound_file()
        transfer_media()
        paths.append(get_cached_path(reload_file(file_id)))
    assert [path.exists() for path in paths] == [False, False, True]


def test_the_command_line_uploads_a_header_for_a_campaign(
    app: Flask, meta: MetaMediaServer, tmp_path: Path
) -> None:
    picture = tmp_path / "oferta.png"
    picture.write_bytes(PNG)
    runner = app.test_cli_runner()
    assert runner.invoke(args=["channels", "upload", str(picture)]).output == "9001\n"
    picture.write_bytes(PDF)
    refused = runner.invoke(args=["channels", "upload", str(picture)])
    assert refused.exit_code != 0
    assert len(meta.uploads) == 1
