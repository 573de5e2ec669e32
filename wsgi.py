"""Entry point of gunicorn. A wrong setting ends the process with one sentence.

`gunicorn -k asgi wsgi:asgi` (the Procfile's form) serves pages and WebSockets in one process;
`gunicorn wsgi:app` serves the pages alone, which then poll.
"""

from __future__ import annotations

import sys

from chatbot import create_app
from chatbot.realtime.websocket import LiveApp
from config import ConfigError

try:
    app = create_app()
except ConfigError as error:
    sys.exit(f"Prosa can't start: {error}")

asgi = LiveApp(app)
