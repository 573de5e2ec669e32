"""Media endpoints of the Graph API: upload, look-up, download, deletion. Source: Meta, media."""

from aiohttp import BodyPartReader, web

from chatbot.simulator.errors import GraphError, invalid, missing, unknown_object
from chatbot.simulator.media.store import (
    MAX_FILE_BYTES,
    StoredFile,
    check_upload,
    get_reported_sha256,
)
from chatbot.simulator.media.urls import DOWNLOAD_PATH, get_signed_url, is_valid_url
from chatbot.simulator.responses import json_response
from chatbot.simulator.simulator import Simulator

CHUNK_BYTES = 256 * 1024


class MediaEndpoints:
    path = DOWNLOAD_PATH

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def upload(self, request: web.Request) -> web.Response:
        """Store an uploaded file: multipart `file` with its MIME type, `messaging_product`, `type`."""
        if request.content_type != "multipart/form-data":
            raise missing("file")
        fields, filename, mime_type, content = await _read_form(request)
        if fields.get("messaging_product") != "whatsapp":
            raise missing("messaging_product")
        if content is None:
            raise missing("file")
        declared_type = fields.get("type") or mime_type
        check_upload(content, declared_type)
        ttl_s = self._simulator.settings.media_expires_s
        stored = self._simulator.files.put(content, declared_type, ttl_s=ttl_s, filename=filename)
        return json_response({"id": stored.id})

    def find(self, request: web.Request) -> web.Response | None:
        """Return a file's metadata with a download URL that expires, or None for an unknown id."""
        stored = self._simulator.files.find(request.match_info["object_id"])
        if stored is None:
            return None
        requested_number_id = request.query.get("phone_number_id", "")
        if requested_number_id and requested_number_id != self._simulator.config.phone_number_id:
            raise invalid("phone_number_id", "does not hold this media.")
        return json_response(self._render_file(stored, f"{request.scheme}://{request.host}"))

    async def download(self, request: web.Request) -> web.Response:
        """Return the file; a wrong or expired URL gets 404, as at Meta."""
        query = request.query
        media_id = query.get("mid", "")
        if is_valid_url(self._simulator, media_id, query.get("ext", ""), query.get("hash", "")):
            stored = self._simulator.files.find(media_id)
            if stored:
                headers = {"Content-Type": stored.mime_type}
                return web.Response(body=stored.content, headers=headers)
        return web.Response(status=404)

    def delete(self, request: web.Request) -> web.Response:
        object_id = request.match_info["object_id"]
        if not self._simulator.files.delete(object_id):
            raise unknown_object(object_id, request.method)
        return json_response({"success": True})

    def _render_file(self, stored: StoredFile, origin: str) -> dict[str, object]:
        return {
            "messaging_product": "whatsapp",
            "url": get_signed_url(self._simulator, stored, origin),
            "mime_type": stored.mime_type,
            "sha256": get_reported_sha256(stored, self._simulator.settings, encoded=False),
            "file_size": len(stored.content),
            "id": stored.id,
        }


async def _read_form(request: web.Request) -> tuple[dict[str, str], str, str, bytes | None]:
    """Return (form fields, name of the file, its MIME type, its bytes or None)."""
    fields: dict[str, str] = {}
    filename = mime_type = ""
    content = None
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                filename = part.filename or ""
                mime_type = part.headers.get("Content-Type", "")
                content = await _read_limited(part)
            elif part.name:
                fields[part.name] = (await part.read()).decode("utf-8", "replace")
    except (ValueError, AssertionError) as error:
        raise GraphError(100, f"The form cannot be read: {error}.") from error
    return fields, filename, mime_type, content


async def _read_limited(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_FILE_BYTES:
            raise GraphError(131053, f"The file has more than {MAX_FILE_BYTES} bytes.")
    return bytes(content)
