from __future__ import annotations

import csv
import io

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from chatbot.accounts.models import Role
from chatbot.contacts.imports import importer, tasks
from chatbot.contacts.imports.uploads import (
    CHUNK_BYTES,
    Upload,
    UploadChunk,
    UploadError,
    UploadState,
)
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
)
from chatbot.core import clock
from chatbot.core.db import db
from tests.support.panel import sign_in

XSS = "<script>alert(1)</script>"
FILE = "nome;telefone;etiquetas;cidade\nAna Lima;11 98765-0001;vip;Recife\nRui;123;;\n"


@pytest.fixture
def ana(app: Flask) -> FlaskClient:
    return sign_in(app, "Ana")


@pytest.fixture
def marta(app: Flask) -> FlaskClient:
    return sign_in(app, "Marta", Role.MANAGER)


def upload(client: FlaskClient, text: str | bytes = FILE, name: str = "lista.csv") -> str:
    """Upload a file and return the address of its preview."""
    content = text.encode() if isinstance(text, str) else text
    answer = client.post("/contacts/import", data={"file": (io.BytesIO(content), name)})
    assert answer.status_code == 303, answer.text
    return answer.location


def count(model: type) -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def parse_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=";"))


class TestImport:
    def test_preview_imports_nothing_and_confirm_imports_the_good_lines(
        self, marta: FlaskClient
    ) -> None:
        address = upload(marta)
        page = marta.get(address).text
        assert "Ana Lima" in page
        assert "cidade" in page
        assert count(Contact) == 0
        for _ in range(2):  # the second changes nothing
            assert marta.post(f"{address}/confirm").status_code == 303
        assert tasks.list_due_imports() == [()]
        tasks.run_imports()
        assert tasks.list_due_imports() == []
        (contact,) = db.session.scalars(sa.select(Contact)).all()
        assert (contact.name, contact.attributes) == ("Ana Lima", {"cidade": "Recife"})
        assert count(UploadChunk) == 0
        assert "lista.csv" in marta.get(address).text
        moving = marta.get(f"{address}/progress")
        assert moving.headers["X-Refresh"] == "done"
        assert "report.csv" in moving.text

    def test_the_report_lists_each_bad_line_and_has_no_formula(self, marta: FlaskClient) -> None:
        address = upload(marta, 'telefone;nome\n=1+1;"=cmd|x"\n11 98765-0001;ok\n"@a";x\n')
        marta.post(f"{address}/confirm")
        tasks.run_imports()
        rows = parse_csv(marta.get(f"{address}/report.csv").text)
        assert [row[0] for row in rows[1:]] == ["2", "4"]
        assert [row[3] for row in rows[1:]] == ["'=1+1", "'@a"]

    def test_the_report_has_all_bad_lines(self, marta: FlaskClient) -> None:
        many = 2 * importer.BATCH_SIZE + 5
        address = upload(marta, "telefone;nome\n11 98765-0001;ok\n" + "123;x\n" * many)
        marta.post(f"{address}/confirm")
        tasks.run_imports()
        rows = parse_csv(marta.get(f"{address}/report.csv").text)
        assert [int(row[0]) for row in rows[1:]] == list(range(3, many + 3))
        page = marta.get(address).text
        assert page.count("<code>123</code>") == 50
        assert count(Contact) == 1

    def test_an_import_resumes_after_its_worker_died(
        self, marta: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importer, "BATCH_SIZE", 2)
        lines = "11 98765-0001;Ana;sim\nx;;\n11 98765-0002;Bia;sim\ny;;\n11 98765-0003;Caio;\nz;;\n"
        address = upload(marta, f"telefone;nome;opt_in\n{lines}")
        marta.post(f"{address}/confirm")
        progress_calls = []

        def die_in_the_second_batch(*arguments: object) -> None:
            progress_calls.append(arguments)
            if len(progress_calls) == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as dying:
            dying.setattr(tasks, "publish", die_in_the_second_batch)
            with pytest.raises(KeyboardInterrupt):
                tasks.run_imports()
        db.session.rollback()
        row = db.session.scalars(sa.select(Upload)).one()
        assert (row.report["added"], row.report["line"], row.state) == (1, 3, "importing")
        row.leased_until = clock.from_unix(0)
        db.session.commit()
        tasks.run_imports()
        db.session.rollback()
        report = db.session.scalars(sa.select(Upload)).one().report
        assert (report["added"], report["updated"], report["bad"]) == (3, 0, 3)
        assert count(ConsentEvent) == report["opted_in"] == 2
        rows = parse_csv(marta.get(f"{address}/report.csv").text)
        assert [row[0] for row in rows[1:]] == ["3", "5", "7"]

    def test_a_file_larger_than_a_chunk_is_stored_unchanged(self, marta: FlaskClient) -> None:
        lines = [f"11 9{80_000_000 + number};{'Pessoa':_<190}{number}\n" for number in range(1500)]
        text = "telefone;nome\n" + "".join(lines)
        assert len(text) > CHUNK_BYTES
        address = upload(marta, text)
        db.session.rollback()
        sizes = db.session.scalars(sa.select(sa.func.length(UploadChunk.data))).all()
        assert max(sizes) <= CHUNK_BYTES
        assert sum(sizes) == len(text.encode())
        marta.post(f"{address}/confirm")
        tasks.run_imports()
        assert count(Contact) == 1500

    def test_an_import_is_retried_after_its_worker_died_and_fails_in_the_end(
        self, marta: FlaskClient
    ) -> None:
        address = upload(marta)
        marta.post(f"{address}/confirm")
        for attempt in range(1, tasks.MAX_ATTEMPTS + 1):
            assert tasks._claim() is not None
            assert tasks._claim() is None  # leased
            row = db.session.scalars(sa.select(Upload)).one()
            assert row.attempts == attempt
            row.leased_until = clock.from_unix(0)
            db.session.commit()
        tasks.run_imports()
        db.session.rollback()
        assert db.session.scalars(sa.select(Upload.state)).one() == UploadState.FAILED
        assert count(Contact) == 0

    @pytest.mark.parametrize(
        "content", [b"", b"nome;cidade\nAna;Recife\n", b"PK\x03\x04zip", b"\x00" * 500]
    )
    def test_an_unreadable_file_is_refused_with_a_message_and_not_stored(
        self, marta: FlaskClient, content: bytes
    ) -> None:
        answer = marta.post("/contacts/import", data={"file": (io.BytesIO(content), "x.csv")})
        assert answer.status_code == 422
        assert 'id="file-error"' in answer.text
        assert (count(Upload), count(UploadChunk)) == (0, 0)

    def test_a_form_without_a_file_shows_an_error(self, marta: FlaskClient) -> None:
        assert 'id="file-error"' in marta.post("/contacts/import", data={}).text

    def test_an_oversized_file_is_a_413_with_a_message(self, marta: FlaskClient) -> None:
        big = io.BytesIO(b"x" * (20 * 1024 * 1024 + 1))
        answer = marta.post("/contacts/import", data={"file": (big, "big.csv")})
        assert answer.status_code == 413
        assert "20 MB" in answer.text
        assert count(Upload) == 0

    def test_file_names_and_cells_are_escaped(self, marta: FlaskClient) -> None:
        text = f"telefone;nome;<b>x\n11 98765-0001;{XSS};{XSS}\n{XSS};a;b\n"
        address = upload(marta, text, f"../{XSS}.csv")
        page = marta.get(address).text
        assert "&lt;script&gt;" in page
        assert XSS not in page
        assert "<b>x" not in page
        assert "../" not in page.split("<h1>")[1].split("</h1>")[0]

    def test_another_managers_file_is_a_404(self, app: Flask, marta: FlaskClient) -> None:
        address = upload(marta)
        other = sign_in(app, "Olga", Role.MANAGER)
        assert other.get(address).status_code == 404
        assert other.post(f"{address}/confirm").status_code == 404
        assert other.get(f"{address}/report.csv").status_code == 404
        assert count(Upload) == 1

    def test_a_discarded_upload_is_gone(self, marta: FlaskClient) -> None:
        address = upload(marta)
        assert marta.post(f"{address}/discard").status_code == 303
        assert (count(Upload), count(UploadChunk)) == (0, 0)
        assert marta.get(address).status_code == 404

    def test_uploads_are_deleted_after_a_day(self, marta: FlaskClient) -> None:
        marta.post(f"{upload(marta)}/confirm")
        tasks.run_imports()
        assert count(UploadError) == 1
        db.session.execute(sa.update(Upload).values(created_at=clock.from_unix(0)))
        db.session.commit()
        assert tasks.list_due_imports() == [()]
        tasks.run_imports()
        assert (count(Upload), count(UploadChunk), count(UploadError)) == (0, 0, 0)

    def test_an_agent_may_neither_import_nor_export(self, ana: FlaskClient) -> None:
        assert ana.get("/contacts/import").status_code == 403
        assert ana.get("/contacts/export.csv").status_code == 403
