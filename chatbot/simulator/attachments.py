"""Addresses of files: signed, short-lived, and worth nothing without the token (section 9)."""

import hashlib
import hmac

from chatbot.simulator.media import StoredFile
from chatbot.simulator.simulator import Simulator

PATH = "/whatsapp_business/attachments/"


def webhook_url(simulator: Simulator, stored: StoredFile) -> str:
    config = simulator.config
    return url_of(simulator, stored, f"http://{config.host}:{config.port}")


def url_of(simulator: Simulator, stored: StoredFile, origin: str) -> str:
    ends_at = int(simulator.clock.now() + simulator.settings.media_url_s)
    mark = _mark(simulator, stored.id, str(ends_at))
    return f"{origin}{PATH}?mid={stored.id}&ext={ends_at}&hash={mark}"


def is_valid(simulator: Simulator, media_id: str, ends_at: str, mark: str) -> bool:
    """Whether the address is one of ours and still lives."""
    if not hmac.compare_digest(mark.encode(), _mark(simulator, media_id, ends_at).encode()):
        return False
    return simulator.clock.now() < int(ends_at)


def _mark(simulator: Simulator, media_id: str, ends_at: str) -> str:
    key = simulator.config.app_secret.encode()
    return hmac.new(key, f"{media_id}:{ends_at}".encode(), hashlib.sha256).hexdigest()[:32]
