"""Settings of gunicorn, which reads this file by itself. The numbers come from config.py."""

import socket

from gunicorn.glogging import Logger as _Logger

from chatbot.core.log import RedactingFormatter as _RedactingFormatter
from chatbot.core.log import list_secrets as _list_secrets
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
websocket_max_message_size = 1024  # pages send one short command at a time


class RedactingLogger(_Logger):
    """Logger of gunicorn that hides what our own log hides: it repeats parts of wrong requests."""

    def _set_handler(self, log, output, fmt, stream=None):
        fmt = _RedactingFormatter(fmt._fmt, fmt.datefmt, _list_secrets(_settings))
        super()._set_handler(log, output, fmt, stream)


logger_class = RedactingLogger


def on_starting(_server):
    """Refuse a database without our schema, with one sentence."""
    import wsgi
    from chatbot.schema_check import exit_without_schema

    exit_without_schema(wsgi.app)


def post_worker_init(worker):
    """Bound idle connections, and let WebSockets, which stay open for hours, close with their worker."""
    from chatbot.realtime.connections import bound_connections

    live = getattr(worker, "asgi", None)
    if live is not None:
        live.is_shutting_down = lambda: not worker.alive
        bound_connections(worker, _settings)


def when_ready(server):
    """Let the kernel close connections whose client has acknowledged nothing for a minute."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    for listener in server.LISTENERS:
        if option and listener.sock.family in (socket.AF_INET, socket.AF_INET6):
            listener.sock.setsockopt(socket.IPPROTO_TCP, option, 60_000)
