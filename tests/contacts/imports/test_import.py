from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
from flask import Flask

from chatbot.contacts.imports import importer
from chatbot.contacts.imports.csv_reader import BadLine, CsvError
from chatbot.contacts.imports.importer import ImportReport, import_contacts
from chatbot.contacts.models import ConsentEvent, Contact, ContactIdentity, ContactTag
from chatbot.core.db import db
from tests.support.call_counts import count_sql


def import_text(text: str, encoding: str = "utf-8") -> tuple[ImportReport, list[BadLine]]:
    bad_lines: list[BadLine] = []
    report = import_contacts(
        io.BytesIO(text.encode(encoding)), lambda _, bad: bad_lines.extend(bad), file="lista.csv"
    )
    return report, bad_lines


def list_contacts() -> list[Contact]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Contact).order_by(Contact.id)))


def test_good_lines_are_imported_and_bad_ones_reported_by_number(any_app: Flask) -> None:
    report, bad_lines = import_text(
        "phone;name;document;tags;plano;opt_in\n"
        "11 98765-4321;José;529.982.247-25;vip|sp;fibra 500;\n"
        "123;Ninguém;;;;\n"
        "21 97654-3210;Bia;111.111.111-11;;;\n"
        "31 99876-5432;Caio;;;;\n"
        "31 99876-5433;Davi;;;;talvez\n"
    )
    assert (report.added, report.bad, report.good) == (2, 3, 2)
    assert [(line.line, line.column) for line in bad_lines] == [
        (3, "phone"),
        (4, "document"),
        (6, "opt_in"),
    ]
    first = list_contacts()[0]
    assert (first.name, first.document, first.phone) == ("José", "52998224725", "+5511987654321")
    assert (first.search_name, first.attributes) == ("jose", {"plano": "fibra 500"})
    tags = db.session.scalars(sa.select(ContactTag.name).order_by(ContactTag.name)).all()
    assert tags == ["sp", "vip"]


def test_a_file_of_an_old_excel_is_decoded(any_app: Flask) -> None:
    import_text("phone;name\n11987654321;Conceição\n", "cp1252")
    assert list_contacts()[0].name == "Conceição"


def test_a_second_import_updates_and_keeps_values_of_empty_cells(any_app: Flask) -> None:
    import_text("phone,name,email,tags,plano,cidade\n11987654321,Ana,a@b.example,x,p1,SP\n")
    # Known and new contacts in one batch; COPY keeps quotes, line breaks and backslashes.
    odd = 'p2 "é" \\N \\t'
    quoted = odd.replace('"', '""')
    report, _ = import_text(
        f'phone,name,email,tags,plano\n1187654321,Ana Lima,,y|x,"{quoted}"\n11987654322,,,x,\n'
    )
    assert (report.added, report.updated) == (1, 1)
    ana, other = list_contacts()
    assert (ana.name, ana.search_name, ana.email) == ("Ana Lima", "ana lima", "a@b.example")
    assert ana.attributes == {"plano": odd, "cidade": "SP"}
    assert (other.name, other.email, other.attributes) == ("", None, {})
    tags = sa.select(ContactTag.contact_id, ContactTag.name)
    assert set(db.session.execute(tags)) == {(ana.id, "x"), (ana.id, "y"), (other.id, "x")}


def test_the_later_of_two_lines_with_one_phone_wins(any_app: Flask) -> None:
    report, _ = import_text("phone,name\n11987654321,Ana\n1187654321,Ana Lima\n")
    assert (report.added, report.repeated) == (1, 1)
    assert [contact.name for contact in list_contacts()] == ["Ana Lima"]


def test_an_import_does_not_undo_an_opt_out(any_app: Flask) -> None:
    import_text("phone\n11987654321\n")
    db.session.execute(sa.text("UPDATE contacts SET opted_out_at = '2026-01-01 00:00:00'"))
    db.session.commit()
    report, _ = import_text("phone,name,opt_in\n11987654321,Ana,sim\n")
    assert list_contacts()[0].opted_out_at is not None
    assert report.opted_in == 0
    assert db.session.scalars(sa.select(ConsentEvent)).all() == []


def test_an_imported_opt_in_has_its_line_as_evidence(any_app: Flask) -> None:
    import_text("phone,name\n11987654321,Ana\n")
    report, _ = import_text(
        "phone;consentimento\n11987654321;SIM\n11987654322;não\n11987654323;x\n"
    )
    assert (report.added, report.updated, report.opted_in) == (2, 1, 2)
    events = db.session.scalars(sa.select(ConsentEvent).order_by(ConsentEvent.contact_id)).all()
    assert {(event.kind, event.source) for event in events} == {("opt_in", "import")}
    assert [event.evidence for event in events] == ["lista.csv:2", "lista.csv:4"]
    assert events[0].contact_id == list_contacts()[0].id


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_takes_a_constant_number_of_statements(any_app: Flask, known: bool) -> None:
    def lines(count: int) -> str:
        rows = "".join(f"119{80000000 + n},P{n},t|u,v{n},sim\n" for n in range(count))
        return f"phone,name,tags,a,opt_in\n{rows}"

    numbers = []
    if known:
        import_text(lines(importer.BATCH_SIZE))
    for count in (3, importer.BATCH_SIZE):
        with count_sql(db.engine) as sql:
            import_text(lines(count))
        numbers.append(sql.number)
        if not known:
            for table in (ConsentEvent, ContactTag, ContactIdentity, Contact):
                db.session.execute(sa.delete(table))
            db.session.commit()
    assert numbers[0] == numbers[1] <= 14


def test_lines_imported_by_an_earlier_run_are_skipped(any_app: Flask) -> None:
    text = "phone,name,opt_in\n11987654321,Ana,sim\nx,y,\n11987654322,Bia,sim\n"
    done = ImportReport(added=1, bad=1, opted_in=1, line=3)
    bad_lines: list[BadLine] = []
    report = import_contacts(
        io.BytesIO(text.encode()), lambda _, bad: bad_lines.extend(bad), report=done
    )
    assert report == ImportReport(added=2, bad=1, opted_in=2, line=4)
    assert bad_lines == []
    assert [contact.name for contact in list_contacts()] == ["Bia"]


def test_a_file_without_a_phone_column_is_refused(any_app: Flask) -> None:
    with pytest.raises(CsvError):
        import_text("name\nAna\n")
    assert list_contacts() == []


def test_the_command_reports_in_json_and_fails_if_no_line_is_good(any_app: Flask) -> None:
    runner = any_app.test_cli_runner()
    good = runner.invoke(
        args=["contacts", "import", "-", "--json"], input="phone,name\n11987654321,Ana\nx,y\n"
    )
    assert good.exit_code == 0
    assert '"added":1' in good.output.replace(" ", "")
    assert '"line":3' in good.output.replace(" ", "")
    plain = runner.invoke(args=["contacts", "import", "-"], input="phone\nx\n")
    assert plain.exit_code != 0
    assert "line 2:" in plain.output
    assert runner.invoke(args=["contacts", "import", "-"], input="name\nx\n").exit_code != 0
