"""Signed download URLs that expire. The download also needs the access token, as at Meta."""

import hashlib
import hmac

from chatbot.simulator.media.store import StoredFile
from chatbot.simulator.simulator import Simulator

DOWNLOAD_PATH = "/whatsapp_business/attachments/"


def get_webhook_url(simulator: Simulator, stored: StoredFile) -> str:
    config = simulator.config
    return get_signed_url(simulator, stored, f"http://{config.host}:{config.port}")


def get_signed_url(simulator: Simulator, stored: StoredFile, origin: str) -> str:
    expires_at = int(simulator.clock.now() + simulator.settings.media_url_s)
    signature = _sign(simulator, stored.id, str(expires_at))
    return f"{origin}{DOWNLOAD_PATH}?mid={stored.id}&ext={expires_at}&hash={signature}"


def is_valid_url(simulator: Simulator, media_id: str, expires_at: str, signature: str) -> bool:
    """Tell whether the URL has a right signature and has not expired."""
    if not hmac.compare_digest(signature.encode(), _sign(simulator, media_id, expires_at).encode()):
        return False
    return simulator.clock.now() < int(expires_at)


def _sign(simulator: Simulator, media_id: str, expires_at: str) -> str:
    key = simulator.config.app_secret.encode()
    return hmac.new(key, f"{media_id}:{expires_at}".encode(), hashlib.sha256).hexdigest()[:32]
