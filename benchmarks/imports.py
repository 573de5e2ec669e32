"""Measure speed and memory of a contact import: `python -m benchmarks.imports [DATABASE_URL]`.

A process imports each file as the worker does, first into an empty database (its tables are dropped), then
again when all contacts are known. Without a URL it is SQLite in a new folder. "growth" is the peak memory
of the import minus the memory before it.
"""

from __future__ import annotations

import io
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from chatbot import create_app
from chatbot.accounts.models import Role
from chatbot.accounts.service import create_user
from chatbot.contacts.imports.tasks import run_imports
from chatbot.contacts.imports.uploads import Upload, UploadState, store_upload
from chatbot.core.db import db
from chatbot.extensions import alembic
from tests.support.settings import make_settings

SIZES = (10_000, 100_000)
BAD_LINE_EVERY = 100  # one invalid line of 100


def lines(count: int) -> Iterator[bytes]:
    yield b"telefone;nome;email;etiquetas;plano;opt_in\n"
    for n in range(count):
        phone = "123" if n % BAD_LINE_EVERY == 0 else f"119{80_000_000 + n}"
        yield f"{phone};Pessoa {n};p{n}@exemplo.com.br;vip|sp;fibra {n % 9};sim\n".encode()


def peak_mb(*, reset: bool = False) -> float:
    """Return the peak resident memory of this process; `reset` starts again at the present use."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run(url: str, count: int, output: multiprocessing.SimpleQueue[str]) -> None:
    home = Path(tempfile.mkdtemp(prefix="prosa-imports-"))
    app = create_app(make_settings(home, DATABASE_URL=url))
    with app.app_context():
        with db.engine.begin() as connection:
            found = sa.MetaData()
            found.reflect(connection)
            found.drop_all(connection)
        alembic.upgrade()
        user_id = create_user("bench@prosa.example", "Bench", Role.MANAGER, "bench bench bench").id
        db.session.commit()
        file = io.BytesIO(b"".join(lines(count)))
        for kind in ("new", "known"):
            file.seek(0)
            store_upload(file, "lista.csv", user_id).state = UploadState.CONFIRMED
            db.session.commit()
            before, begun, cpu = peak_mb(reset=True), time.perf_counter(), time.process_time()
            run_imports()
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
            last = sa.select(Upload.report).order_by(Upload.id.desc()).limit(1)
            assert db.session.scalars(last).one()["bad"] == count // BAD_LINE_EVERY
            db.session.rollback()
            output.put(
                f"| {db.engine.dialect.name} | {count:,} {kind} | {wall:.1f} | {count / wall:,.0f} "
                f"| {cpu:.1f} | {peak_mb():.0f} | {peak_mb() - before:.0f} |"
            )


def main() -> None:
    folder = tempfile.mkdtemp(prefix="prosa-imports-")
    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/prosa.db"
    print(
        "Import of contacts, new and already known; CPU of the importing process, without PostgreSQL"
    )
    print(
        "| database | lines | wall s | lines/s | CPU s | peak MB | growth MB |\n" + "|---" * 7 + "|"
    )
    context = multiprocessing.get_context("spawn")
    for count in SIZES:
        output = context.SimpleQueue()
        process = context.Process(target=run, args=(url, count, output))
        process.start()
        process.join()
        while not output.empty():
            print(output.get(), flush=True)


if __name__ == "__main__":
    main()
