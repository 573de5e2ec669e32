"""User session in the panel of a running stack, over real HTTP without a browser."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

from tests.support.stack import Stack
from tests.support.stack_users import PASSWORD


class _KeepRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that does not follow redirects."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class PanelSession:
    """Session with its own cookies. `get` and `post` return any status; `text` is the last page.

    `address` is the client's IP address if the stack has TRUSTED_PROXIES=1.
    """

    def __init__(self, stack: Stack, address: str = "10.0.0.1") -> None:
        self._host = stack.address
        self._headers = {"X-Forwarded-For": address}
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            _KeepRedirects, urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self.text = ""
        self.location = ""

    def get(self, path: str) -> int:
        return self._open(path, None)

    def post(self, path: str, **form: str) -> int:
        """Post a form with the CSRF token of the last page, if it had one."""
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.text)
        token = {"csrf_token": found[1]} if found else {}
        return self._open(path, urllib.parse.urlencode(form | token).encode())

    def sign_in(self, email: str = "admin@prosa.test", password: str = PASSWORD) -> int:
        """Sign in; return 303 if email and password are right."""
        self.get("/login")
        return self.post("/login", email=email, password=password)

    @property
    def session_id(self) -> str:
        return next((str(c.value) for c in self._cookies if c.name == "prosa"), "")

    def _open(self, path: str, body: bytes | None) -> int:
        request = urllib.request.Request(self._host + path, body, self._headers)
        try:
            with self._opener.open(request, timeout=30) as answer:
                return self._store_response(answer)
        except urllib.error.HTTPError as error:
            with error:
                return self._store_response(error)

    def _store_response(self, answer: Any) -> int:
        self.text = answer.read().decode()
        self.location = answer.headers.get("Location") or ""
        return int(answer.status)
