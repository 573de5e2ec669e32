"""Tests of the Redis doctor: each reason why a connection fails is caused for real."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from chatbot.ops.doctor.catalog import Severity
from chatbot.ops.doctor.diagnosis import get_worst_severity
from tests.support.doctor import HEALTHY_OPTIONS, run_diagnosis, trouble_names
from tests.support.ports import free_port, wait_for
from tests.support.redis_processes import connect_to, is_listening, make_certificate, redis_process


@contextmanager
def nobody_listens(_home: Path) -> Iterator[str]:
    yield f"redis://:secret@127.0.0.1:{free_port()}/0"


@contextmanager
def no_socket(home: Path) -> Iterator[str]:
    yield f"unix://{home}/nothing.sock"


@contextmanager
def no_such_host(_home: Path) -> Iterator[str]:
    yield "redis://nothing.invalid:6379/0"


@contextmanager
def silent(_home: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@contextmanager
def wrong_password(_home: Path) -> Iterator[str]:
    with redis_process(*HEALTHY_OPTIONS, "--requirepass", "right") as port:
        yield f"redis://:wrong@127.0.0.1:{port}/0"


@contextmanager
def no_password_given(_home: Path) -> Iterator[str]:
    with redis_process(*HEALTHY_OPTIONS, "--requirepass", "right") as port:
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def password_for_nothing(_home: Path) -> Iterator[str]:
    with redis_process(*HEALTHY_OPTIONS) as port:
        yield f"redis://:secret@127.0.0.1:{port}/0"


@contextmanager
def tls_spoken_to_plain(_home: Path) -> Iterator[str]:
    with redis_process(*HEALTHY_OPTIONS) as port:
        yield f"rediss://localhost:{port}/0"


def tls_server(home: Path) -> AbstractContextManager[int]:
    port_options = ("--tls-auth-clients", "no")
    private, certificate = make_certificate(home)
    return redis_process(
        *("--tls-port", str(TLS_PORT), "--tls-key-file", private),
        *("--tls-cert-file", certificate, "--tls-ca-cert-file", certificate),
        *port_options,
    )


TLS_PORT = free_port()


@contextmanager
def plain_spoken_to_tls(home: Path) -> Iterator[str]:
    with tls_server(home):
        wait_for(lambda: is_listening(TLS_PORT))
        yield f"redis://localhost:{TLS_PORT}/0"


@contextmanager
def unknown_certificate(home: Path) -> Iterator[str]:
    with tls_server(home):
        wait_for(lambda: is_listening(TLS_PORT))
        yield f"rediss://localhost:{TLS_PORT}/0"


@contextmanager
def too_many_connections(_home: Path) -> Iterator[str]:
    with redis_process(*HEALTHY_OPTIONS, "--maxclients", "2") as port:
        others = [connect_to(port), connect_to(port)]
        for other in others:
            other.ping()
        yield f"redis://127.0.0.1:{port}/0"
        for other in others:
            other.close()


@contextmanager
def loading(home: Path) -> Iterator[str]:
    with redis_process("--enable-debug-command", "yes", home=home) as port:
        connect_to(port).execute_command("DEBUG", "POPULATE", 20_000, "k", 100)
        connect_to(port).save()
    slow = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    with redis_process(*slow, home=home) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.mark.parametrize(
    ("make", "name", "text"),
    [
        (nobody_listens, "refused", "127.0.0.1"),
        (no_socket, "refused", "nothing.sock"),
        (no_such_host, "refused", "nothing.invalid"),
        (silent, "silent", "Timeout"),
        (wrong_password, "password", "invalid"),
        (no_password_given, "password", "requirepass"),
        (password_for_nothing, "password", "without any password"),
        (tls_spoken_to_plain, "tls", "rediss://"),
        (plain_spoken_to_tls, "tls", "rediss://"),
        (unknown_certificate, "certificate", "REDIS_TLS_CA"),
        (too_many_connections, "too_many_connections", "maxclients"),
        (loading, "loading", "loading"),
    ],
)
def test_connection_failure_is_named(
    app: Flask,
    tmp_path: Path,
    make: Callable[[Path], AbstractContextManager[str]],
    name: str,
    text: str,
) -> None:
    with make(tmp_path) as url:
        findings = run_diagnosis(url, tmp_path)
    assert trouble_names(findings) == {name}, findings
    found = next(f for f in findings if f.name == name)
    assert text in found.sentence + found.fix
    assert found.fix
    assert "secret" not in found.sentence
    assert get_worst_severity(findings) == (
        Severity.WARNING if name == "loading" else Severity.CRITICAL
    )
