"""Real Redis servers with unusual options, each on a port of its own until the test ends."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.support.ports import free_port, wait_for
from workers import embedded_redis
from workers.parent_death import die_with_parent


@contextmanager
def redis_process(*options: str, home: Path | None = None, ready: bool = True) -> Iterator[int]:
    """Start a server with these options and no configuration file; yield its port.

    `ready` waits until the port accepts connections.
    """
    server = embedded_redis.find_server()
    assert server
    port = free_port()
    home = home or Path(tempfile.mkdtemp(prefix="prosa-redis-"))
    process = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "",
         "--daemonize", "no", *options],
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        if ready:
            wait_for(lambda: is_listening(port))
        yield port
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


def connect_to(port: int, **options: object) -> redis.Redis:
    return redis.Redis(port=port, protocol=2, socket_timeout=10, **options)  # type: ignore[arg-type]


def make_certificate(folder: Path) -> tuple[str, str]:
    """Create a self-signed certificate for localhost; return the paths of key and certificate."""
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return key, certificate


@contextmanager
def slow_proxy(port: int, delay_s: float) -> Iterator[int]:
    """Start a proxy that delays every answer of a server; yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, wait_s: float) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                time.sleep(wait_s)
                sink.sendall(chunk)
        for end in (source, sink):
            end.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for ends in ((client, server, 0.0), (server, client, delay_s)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()
