"""Client of Meta's media API: look up, download, upload.

See https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media
"""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from chatbot.channels.whatsapp.client import GraphError, make_session, parse_graph_json

# Below the 5 minutes for which an address is valid; a file of 100 MB takes a while.
TRANSFER_TIMEOUT_S = 240.0
CHUNK_BYTES = 64 * 1024
# Domains where Meta serves files. The token is sent to no other.
TRUSTED_DOMAINS = ("fbsbx.com", "facebook.com", "whatsapp.net")
MAX_LINKS = 2  # an address may expire between the lookup and the download


class MediaError(Exception):
    """A transfer failed.

    `problem` is a key of `media.labels.PROBLEMS` if a retry can't help, and None if it may.
    """

    def __init__(self, detail: str, problem: str | None = None) -> None:
        super().__init__(detail)
        self.problem = problem


class MediaLink(msgspec.Struct):
    """Meta's answer to a lookup. The size may be a number written as text."""

    url: str
    mime_type: str = ""
    file_size: int | str | None = None

    @property
    def size(self) -> int:
        return int(self.file_size) if str(self.file_size or "").isdigit() else 0  # type: ignore[arg-type]


class MediaClient:
    """Client for the files of one number. An async context manager, used from one event loop."""

    def __init__(self, api_url: str, token: str, phone_number_id: str) -> None:
        self._api_url = api_url
        self._phone_number_id = phone_number_id
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._http = make_session(8, self._headers, TRANSFER_TIMEOUT_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def download(self, media_id: str, sink: BinaryIO, most: int) -> None:
        """Write the file into `sink`, at most `most` bytes. Raises MediaError."""
        try:
            for _ in range(MAX_LINKS):
                if await self._fetch(await self._look_up(media_id), sink, most):
                    return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MediaError(f"{type(error).__name__}: {error}") from error
        raise MediaError("two new addresses in a row were not found")

    async def _look_up(self, media_id: str) -> MediaLink:
        url = f"{self._api_url}/{media_id}"
        params = {"phone_number_id": self._phone_number_id}
        try:
            async with self._http.get(url, params=params) as response:
                answer = parse_graph_json(url, response.status, await response.read())
            return msgspec.convert(answer, MediaLink)
        except GraphError as error:
            # 100: there is no file of this id (any more).
            raise MediaError(str(error), "gone" if error.code in (100, 131052) else None) from error
        except msgspec.ValidationError as error:
            raise MediaError(f"the answer to a lookup is unreadable: {error}") from error

    async def _fetch(self, link: MediaLink, sink: BinaryIO, most: int) -> bool:
        """Download; False if the address has expired and must be looked up again."""
        if not self._is_trusted(link.url):
            raise MediaError(f"not an address of Meta's: {link.url[:200]!r}", "untrusted")
        if link.size > most:
            raise MediaError(f"{link.size} bytes", "too_large")
        # A redirect could lead the token elsewhere.
        async with self._http.get(link.url, allow_redirects=False) as response:
            if response.status in (401, 403, 404, 410):
                return False
            if response.status != 200:
                raise MediaError(f"the download answered HTTP {response.status}")
            await _copy(response, sink, most)
        return True

    def _is_trusted(self, url: str) -> bool:
        try:
            parts, api = urlsplit(url), urlsplit(self._api_url)
            host = parts.hostname or ""
            if (parts.scheme, host, parts.port) == (api.scheme, api.hostname, api.port):
                return True
        except ValueError:
            return False
        is_of_meta = any(host == d or host.endswith(f".{d}") for d in TRUSTED_DOMAINS)
        return parts.scheme == "https" and parts.port in (None, 443) and is_of_meta

    async def upload(self, file: BinaryIO, mime_type: str, file_name: str) -> str:
        """Upload a file and return its id, which is valid for 30 days. Raises MediaError."""
        url = f"{self._api_url}/{self._phone_number_id}/media"
        form = aiohttp.FormData()
        form.add_field("messaging_product", "whatsapp")
        form.add_field("type", mime_type)
        form.add_field("file", file, content_type=mime_type, filename=file_name)
        try:
            async with self._http.post(url, data=form) as response:
                answer = parse_graph_json(url, response.status, await response.read())
        except GraphError as error:
            is_refusal = error.code in (100, 131051, 131053)
            raise MediaError(str(error), "refused" if is_refusal else None) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MediaError(f"{type(error).__name__}: {error}") from error
        if not isinstance(answer.get("id"), str):
            raise MediaError("an upload answered without an id")
        return str(answer["id"])


async def _copy(response: aiohttp.ClientResponse, sink: BinaryIO, most: int) -> None:
    """Overwrite `sink` with the content. The declared length is not trusted."""
    sink.seek(0)
    sink.truncate()
    length = 0
    async for piece in response.content.iter_chunked(CHUNK_BYTES):
        length += len(piece)
        if length > most:
            raise MediaError(f"more than {most} bytes", "too_large")
        sink.write(piece)
