"""gunicorn's settings; it reads this file by itself. The numbers come from config.py."""

import socket

from config import load as _load

_settings = _load()

bind = f"0.0.0.0:{_settings.port}" if _settings.is_production else f"127.0.0.1:{_settings.port}"
worker_class = "gthread"  # the Procfile says asgi; pages have WEB_THREADS threads in both
workers = _settings.web_workers
threads = _settings.web_threads
preload_app = True
timeout = 60
graceful_timeout = 10
accesslog = None
control_socket_disable = True
websocket_max_message_size = 1024  # pages say one word


def post_worker_init(worker):
    """Sockets stay open for hours: they are told when their worker is to end, and make way for it."""
    live = getattr(worker, "asgi", None)
    if live is not None:
        live.is_shutting_down = lambda: not worker.alive


def when_ready(server):
    """A client that takes nothing for a minute is let go by the kernel, whatever we still had for it."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    for listener in server.LISTENERS:
        if option and listener.sock.family in (socket.AF_INET, socket.AF_INET6):
            listener.sock.setsockopt(socket.IPPROTO_TCP, option, 60_000)
