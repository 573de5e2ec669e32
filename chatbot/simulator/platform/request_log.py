"""Log of the received requests, and counts by which tests judge a run."""

import itertools
from collections import Counter, deque
from collections.abc import Iterator

import msgspec

RawHeaders = tuple[tuple[bytes, bytes], ...]
MAX_CALLS = 2_000  # kept requests to other paths than /messages
MAX_SHARED_HEADERS = 1_000


class LogEntry(msgspec.Struct):
    """One POST to /messages; `raw` and `headers` are the bytes as received."""

    id: int
    at: float  # Unix seconds
    raw: bytes
    headers: RawHeaders
    to: str = ""
    wa_id: str = ""
    type: str = ""
    accepted: bool = False
    wamid: str = ""
    callback_data: str = ""
    answer: str = "ok"  # ok, graph_error or the name of a fault
    code: int = 0


class LogEntryView(msgspec.Struct):
    """Log entry as JSON; a `body` that was not valid JSON is a string."""

    id: int
    at: float
    to: str
    wa_id: str
    type: str
    body: msgspec.Raw
    headers: dict[str, str]
    accepted: bool
    wamid: str
    callback_data: str
    answer: str
    code: int


class AcceptedMessageView(msgspec.Struct):
    """One line of `GET /_sim/accepted`."""

    id: int
    at: float
    callback_data: str
    wamid: str
    to: str
    wa_id: str
    type: str


class ApiCall(msgspec.Struct):
    """Request to another path of the Graph API than /messages."""

    at: float
    method: str
    path: str
    status: int
    headers: dict[str, str]


class LogSummary(msgspec.Struct):
    """Counts of the log. Read receipts are not counted as messages."""

    accepted: int
    refused: int
    receipts: int
    unique_recipients: int
    max_per_recipient: int
    duplicates: int
    dropped: int  # entries that were removed because the log was full
    by_answer: dict[str, int]
    by_type: dict[str, int]


class RequestLog:
    """Log with a limited number of entries; its counts cover everything since the last reset."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.calls: deque[ApiCall] = deque(maxlen=MAX_CALLS)
        self._attempts: Counter[str] = Counter()
        self._ids = itertools.count(1)
        self._headers: dict[RawHeaders, RawHeaders] = {}
        self._accepted: Counter[str] = Counter()
        self._tracked: Counter[tuple[str, str]] = Counter()
        self._answers: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._receipts = self._refused = self._duplicates = self._dropped = 0

    def add_entry(self, at: float, raw: bytes, headers: RawHeaders, limit: int) -> LogEntry:
        """Add an entry before the request is handled, so that an unanswered one is logged too."""
        entry = LogEntry(next(self._ids), at, raw, self._intern_headers(headers))
        self.entries.append(entry)
        if len(self.entries) > limit * 1.1:
            excess = len(self.entries) - limit
            del self.entries[:excess]
            self._dropped += excess
        return entry

    def record_outcome(self, entry: LogEntry) -> None:
        """Count a message or a refusal once its outcome is known."""
        self._answers[entry.answer] += 1
        if not entry.accepted:
            self._refused += 1
            return
        self._types[entry.type] += 1
        self._accepted[entry.wa_id] += 1
        if entry.callback_data:
            key = (entry.wa_id, entry.callback_data)
            self._tracked[key] += 1
            self._duplicates += self._tracked[key] > 1

    def record_receipt(self) -> None:
        self._receipts += 1

    def next_attempt(self, key: str) -> int:
        """Count an attempt at this recipient and return its number, from 1."""
        self._attempts[key] += 1
        return self._attempts[key]

    def find(self, entry_id: int) -> LogEntry | None:
        index = entry_id - self._first_id
        return self.entries[index] if 0 <= index < len(self.entries) else None

    def list_since(self, entry_id: int, to: str, limit: int) -> list[LogEntry]:
        """Return entries with a greater id; `to` matches the number as sent or the wa_id.

        A negative `limit` returns the last entries.
        """
        found = self.entries[max(0, entry_id + 1 - self._first_id) :]
        if to:
            found = [entry for entry in found if to in (entry.to, entry.wa_id)]
        return found[:limit] if limit >= 0 else found[limit:]

    def accepted(self, entry_id: int, prefix: str) -> Iterator[AcceptedMessageView]:
        """Yield accepted messages in order of arrival whose callback data has the prefix."""
        for entry in self.entries[max(0, entry_id + 1 - self._first_id) :]:
            is_message = entry.accepted and entry.type != "read"
            if is_message and entry.callback_data.startswith(prefix):
                yield AcceptedMessageView(
                    entry.id, entry.at, entry.callback_data, entry.wamid, entry.to, entry.wa_id,
                    entry.type,
                )  # fmt: skip

    def summary(self, parts: int = 0, separator: str = ":") -> LogSummary:
        """Return the counts; with `parts`, duplicates share that many leading parts of their key.

        The key is the callback data. Use `parts` if it ends in an attempt number.
        """
        return LogSummary(
            accepted=self._accepted.total(),
            refused=self._refused,
            receipts=self._receipts,
            unique_recipients=len(self._accepted),
            max_per_recipient=max(self._accepted.values(), default=0),
            duplicates=self._count_duplicates_by_prefix(parts, separator)
            if parts
            else self._duplicates,
            dropped=self._dropped,
            by_answer=dict(self._answers),
            by_type=dict(self._types),
        )

    @property
    def _first_id(self) -> int:
        return self.entries[0].id if self.entries else 1

    def _intern_headers(self, headers: RawHeaders) -> RawHeaders:
        """Return one shared copy of equal headers: those of a campaign hardly differ."""
        if len(self._headers) > MAX_SHARED_HEADERS:
            self._headers.clear()
        return self._headers.setdefault(headers, headers)

    def _count_duplicates_by_prefix(self, parts: int, separator: str) -> int:
        seen: Counter[tuple[str, str]] = Counter()
        for (wa_id, callback), times in self._tracked.items():
            seen[wa_id, separator.join(callback.split(separator)[:parts])] += times
        return seen.total() - len(seen)


def render_entry(entry: LogEntry) -> LogEntryView:
    return LogEntryView(
        entry.id, entry.at, entry.to, entry.wa_id, entry.type, render_body(entry.raw),
        decode_headers(entry.headers), entry.accepted, entry.wamid, entry.callback_data,
        entry.answer, entry.code,
    )  # fmt: skip


def decode_headers(headers: RawHeaders) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def render_body(raw: bytes) -> msgspec.Raw:
    """Return the body itself if it is JSON, otherwise its text as a JSON string."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.Raw(msgspec.json.encode(raw.decode("utf-8", "replace")))
    return msgspec.Raw(raw)


def parse_fields(raw: bytes) -> dict[str, object]:
    """Return the top-level fields of a refused body, or {} if it is not a JSON object."""
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
