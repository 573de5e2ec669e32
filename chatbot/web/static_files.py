"""Static files with their version in the address, compressed once and kept by browsers for a year.

`static_url("prosa.js")` in a template gives `/static/prosa.js?v=<hash of the content>`. With the present
version in the address the answer is immutable; without it, or with another, browsers ask again. WhiteNoise
was not taken: it needs compressed copies on disk and knows no version outside of the file name.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, abort, current_app, request, url_for
from werkzeug.security import safe_join

MIN_COMPRESSED_BYTES = 500
COMPRESSED_TYPES = ("text/", "application/javascript", "image/svg+xml")
IMMUTABLE = "public, max-age=31536000, immutable"
ENDPOINTS = ("static", "bootstrap.static")


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    gzipped: bytes | None
    content_type: str
    version: str
    modified_ns: int


class StaticFiles:
    """Files of the folders of several endpoints, read once each (in development: at each change)."""

    def __init__(self, folders: dict[str, Path], *, check_changes: bool) -> None:
        self._folders = folders
        self._check_changes = check_changes
        self._files: dict[tuple[str, str], StaticFile] = {}
        self._urls: dict[tuple[str, str], str] = {}

    def find(self, endpoint: str, filename: str) -> StaticFile | None:
        """Return the file, or None where there is none of this name."""
        found = self._files.get((endpoint, filename))
        if found is not None and not self._check_changes:
            return found
        path = safe_join(str(self._folders[endpoint]), filename)
        if path is None or not Path(path).is_file():
            return None
        modified_ns = Path(path).stat().st_mtime_ns
        if found is None or found.modified_ns != modified_ns:
            found = _read_file(Path(path), modified_ns)
            self._files[endpoint, filename] = found
        return found

    def get_url(self, filename: str, endpoint: str = "static") -> str:
        """Return the address with the file's version.

        Raises:
            FileNotFoundError: a template names a file that does not exist.
        """
        known = self._urls.get((endpoint, filename))
        if known is not None and not self._check_changes:
            return known
        file = self.find(endpoint, filename)
        if file is None:
            raise FileNotFoundError(f"no static file {filename!r} of {endpoint!r}")
        url = url_for(endpoint, filename=filename, v=file.version)
        self._urls[endpoint, filename] = url
        return url


def _read_file(path: Path, modified_ns: int) -> StaticFile:
    content = path.read_bytes()
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if content_type == "text/javascript":
        content_type = "text/javascript; charset=utf-8"
    gzipped = None
    if content_type.startswith(COMPRESSED_TYPES) and len(content) >= MIN_COMPRESSED_BYTES:
        gzipped = gzip.compress(content, 9, mtime=0)
    version = hashlib.sha256(content).hexdigest()[:12]
    return StaticFile(content, gzipped, content_type, version, modified_ns)


def init_static_files(app: Flask, *, is_production: bool) -> None:
    folders = {
        "static": Path(app.static_folder or ""),
        "bootstrap.static": Path(app.blueprints["bootstrap"].static_folder or ""),
    }
    files = StaticFiles(folders, check_changes=not is_production)
    app.extensions["prosa_static_files"] = files
    for endpoint in ENDPOINTS:
        app.view_functions[endpoint] = _serve
    app.jinja_env.globals["static_url"] = files.get_url


def _serve(filename: str) -> Response:
    files: StaticFiles = current_app.extensions["prosa_static_files"]
    file = files.find(str(request.endpoint), filename)
    if file is None:
        abort(404)
    is_gzipped = file.gzipped is not None and request.accept_encodings["gzip"] > 0
    response = Response(
        file.gzipped if is_gzipped else file.content, content_type=file.content_type
    )
    if is_gzipped:
        response.headers["Content-Encoding"] = "gzip"
    if file.gzipped is not None:
        response.vary.add("Accept-Encoding")
    response.set_etag(f"{file.version}-gzip" if is_gzipped else file.version)
    is_current = request.args.get("v") == file.version
    response.headers["Cache-Control"] = IMMUTABLE if is_current else "no-cache"
    return response.make_conditional(request)  # type: ignore[return-value]
