"""Requests to all routes of the panel with odd arguments, forms, JSON and files, the same for a seed."""

from __future__ import annotations

import html
import io
import random
import re
from collections.abc import Iterator
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from tests.support.clients import PanelClient

ODD_TEXTS = [
    "", " ", "\x00", "a\x00b", "\ud800", "\u200b", "\u202eabc", "💚" * 300, "x" * 5000, "9" * 400,
    "-1", "0", "1", "2147483648", "9223372036854775807", "9223372036854775808", "1e400", "NaN",
    "Infinity", "٣", "1_0", "%s %(x)s {x}", "'\"<script>", "../../etc/passwd", "a~b~c", "null", "[]",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "2026-12-01", "24:00",
    "2026-12-01T09:00", "0001-01-01T00:00:00+14:00~1", "2026-11-30T12:00:00+00:00~9223372036854775808",
    "maria~1", "tag:", "segment:9223372036854775808", "segment:x", "field:name", "text:", "\r\n",
]  # fmt: skip
ODD_IDS = [0, 1, 1, 1, 2, 3, 4, 2**31, 2**63 - 1, 2**63, 10**30, "-1", "٣", "a\x00", "%00"]
PARAMETERS = ["q", "tag", "after", "before", "since", "inbox", "show", "state", "next", "v", "at"]
FILES = [
    b"",
    b"\x00" * 50,
    b"telefone\n" * 9,
    b"\xff\xfe\x00",
    b"%PDF-1.4",
    b"\x89PNG\r\n\x1a\n",
    b"a;\n",
]
FILE_NAMES = ["a.csv", "a\x00.csv", "", "\u202eexe.png", "x" * 500, "../a", "foto.heic"]


class PanelFuzzer:
    """Knows the routes, and the names and values of the fields on the pages that it was shown."""

    def __init__(self, app: Flask, seed: int) -> None:
        self._rng = random.Random(seed)
        self._rules = sorted(
            (rule for rule in app.url_map.iter_rules() if "static" not in rule.endpoint),
            key=lambda rule: (rule.rule, sorted(rule.methods or ())),
        )
        self._names: list[str] = list(PARAMETERS)
        self._values: list[str] = ["save", "all", "1"]

    def read_pages(self, client: PanelClient) -> None:
        """Collect the fields of all pages."""
        names, values = set(self._names), set(self._values)
        for rule in self._rules:
            if "GET" in (rule.methods or ()) and "log" not in rule.endpoint:
                page = client.get(_build_path(rule, ["1"] * len(rule.arguments))).text
                names.update(re.findall(r'\sname="([^"]+)"', page))
                values.update(html.unescape(v) for v in re.findall(r'\svalue="([^"]{1,60})"', page))
        self._names, self._values = sorted(names - {"csrf_token"}), sorted(values)

    def make_requests(self, count: int) -> Iterator[dict[str, Any]]:
        """Yield the arguments of `client.open` for each request."""
        for _ in range(count):
            yield self._make_request()

    def _make_request(self) -> dict[str, Any]:
        rng = self._rng
        rule = rng.choice(self._rules)
        path = _build_path(rule, [str(rng.choice(ODD_IDS)) for _ in rule.arguments])
        method = rng.choice(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        request: dict[str, Any] = {"path": path, "method": method}
        if rng.random() < 0.7:
            request["query_string"] = self._make_fields(rng.randint(1, 4))
        if method == "POST":
            request |= self._make_body()
        if rng.random() < 0.2:
            request["headers"] = {
                rng.choice(["Accept-Language", "Accept", "Range", "If-None-Match", "Cookie"]): (
                    rng.choice(
                        ["locale=\x01x", "application/json", "bytes=9-1", "*/*;q=x", "pt;q=9"]
                    )
                )
            }
        return request

    def _make_body(self) -> dict[str, Any]:
        fields, roll = self._make_fields(self._rng.randint(0, 12)), self._rng.random()
        if roll < 0.1:
            odd: list[Any] = [fields, [fields], None, 1, {"name": {"a": [1]}}, {"name": None}]
            return {"json": self._rng.choice(odd)}
        if roll < 0.25:
            file = (io.BytesIO(self._rng.choice(FILES)), self._rng.choice(FILE_NAMES))
            return {"data": {**fields, self._rng.choice(["file", "logo", "name"]): file}}
        if roll < 0.3:
            types = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
            raw = bytes(self._rng.randrange(256) for _ in range(60))
            return {"data": raw, "content_type": self._rng.choice(types)}
        return {
            "data": {name: value.encode("utf-8", "surrogatepass") for name, value in fields.items()}
        }

    def _make_fields(self, count: int) -> dict[str, str]:
        return {self._rng.choice(self._names): self._make_value() for _ in range(count)}

    def _make_value(self) -> str:
        return self._rng.choice(self._values if self._rng.random() < 0.5 else ODD_TEXTS)


def _build_path(rule: Rule, values: list[str]) -> str:
    """Fill the arguments as they are, also with what the rule does not match."""
    found = iter(values)
    return re.sub(r"<[^>]+>", lambda _: next(found), rule.rule)
