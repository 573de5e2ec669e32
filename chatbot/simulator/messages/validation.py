"""Parsing and validation of POST /messages.

If a body breaks several rules, Meta does not always answer with the same error. Here a checksum
of the body chooses one, so that runs are repeatable.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from chatbot.simulator.errors import GraphError, invalid, malformed, missing
from chatbot.simulator.identifiers import BSUID, normalize_number
from chatbot.simulator.messages.schema import (
    ButtonInteractive,
    Contact,
    GenericInteractive,
    Header,
    ListInteractive,
    Media,
    Message,
    OutboundKind,
)

MAX_LIST_ROWS = 10  # in all sections together
_decoder = msgspec.json.Decoder(Message)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decoders = {
    field.encode_name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(Message)
}
_PATH = re.compile(r"(?P<reason>.*?)(?: - at `(?:key in )?\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_CONSTRAINT = ("of length", "matching regex", ">=", "<=", "Invalid enum value", "Invalid value")
_MEDIA = frozenset(
    {
        OutboundKind.IMAGE,
        OutboundKind.DOCUMENT,
        OutboundKind.AUDIO,
        OutboundKind.VIDEO,
        OutboundKind.STICKER,
    }
)
_CAPTIONED = frozenset({"image", "video", "document"})


def parse_message(raw: bytes) -> Message:
    try:
        message = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise pick_error([_to_graph_error(str(error)), *_errors_by_field(raw)], raw) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise malformed("body", "is not valid JSON.") from None
    errors = list(_receipt_errors(message) if message.status else _message_errors(message))
    if errors:
        raise pick_error(errors, raw)
    return message


def pick_error(errors: Sequence[GraphError], raw: bytes) -> GraphError:
    """Return one of the errors, always the same one for the same body."""
    return errors[zlib.crc32(raw) % len(errors)] if len(errors) > 1 else errors[0]


def _errors_by_field(raw: bytes) -> Iterator[GraphError]:
    """Yield the errors of each field, because decoding the whole stops at the first error."""
    try:
        fields = _fields_decoder.decode(raw)
    except msgspec.DecodeError:
        return
    if "messaging_product" not in fields:
        yield missing("messaging_product")
    for name, content in fields.items():
        if name not in _decoders:
            continue
        try:
            value = _decoders[name].decode(content)
            if name == "to" and value is not None:
                normalize_number(value)
        except msgspec.ValidationError as error:
            yield _to_graph_error(str(error), name)
        except GraphError as error:
            yield error


def _to_graph_error(text: str, field: str = "") -> GraphError:
    """Convert msgspec's error text to a GraphError: 131008, 131009 or 100 by the kind of error."""
    match = _PATH.fullmatch(text)
    reason, path = (match["reason"], match["path"] or "") if match else (text, "")
    path = f"{field}{'' if path.startswith('[') else '.'}{path}".strip(".")
    if absent := _MISSING.match(reason):
        return missing(f"{path}.{absent['name']}".lstrip("."))
    named = path or "body"
    if named == "type" or any(constraint in reason for constraint in _CONSTRAINT):
        return invalid(named, f"is not valid: {reason[:1].lower()}{reason[1:]}.")
    return malformed(named, f"is not valid: {reason[:1].lower()}{reason[1:]}.")


def _receipt_errors(message: Message) -> Iterator[GraphError]:
    if not message.message_id:
        yield missing("message_id")
    elif not message.message_id.startswith("wamid."):
        yield malformed("message_id", "is not the id of a message.")


def _message_errors(message: Message) -> Iterator[GraphError]:
    """Yield violations of the rules that the types cannot express."""
    yield from _recipient_errors(message)
    kind = message.type
    content = getattr(message, kind.value)
    if content is None:
        yield missing(kind.value)
        return
    if kind is OutboundKind.TEXT and not content.body.strip():
        yield malformed("text.body", "must not be blank.")
    if kind in _MEDIA:
        yield from _media_errors(kind.value, content)
    if kind is OutboundKind.CONTACTS:
        yield from _contact_errors(content)
    if kind is OutboundKind.REACTION and message.context:
        yield malformed("context", "is not allowed with a reaction.")
    if kind is OutboundKind.INTERACTIVE:
        yield from _interactive_errors(message)


def _recipient_errors(message: Message) -> Iterator[GraphError]:
    """Yield errors of the recipient; with both fields Meta uses `to` and ignores `recipient`."""
    if message.to is not None:
        try:
            normalize_number(message.to)
        except GraphError as error:
            yield error
    elif message.recipient is None:
        yield missing("to")
    elif not BSUID.fullmatch(message.recipient):
        yield invalid("recipient", "is not a valid business-scoped user id.")


def _interactive_errors(message: Message) -> Iterator[GraphError]:
    interactive = message.interactive
    if isinstance(interactive, ListInteractive):
        yield from _list_errors(interactive)
    elif interactive:
        yield from _header_errors(interactive.header)
    if isinstance(interactive, ButtonInteractive):
        replies = [button.reply for button in interactive.action.buttons]
        field = "interactive.action.buttons"
        yield from _duplicate_errors(field, "id", (reply.id for reply in replies))
        yield from _duplicate_errors(field, "title", (reply.title for reply in replies))
    elif isinstance(interactive, GenericInteractive) and not interactive.action.name:
        yield missing("interactive.action.name")


def _media_errors(field: str, media: Media) -> Iterator[GraphError]:
    kind = field.rpartition(".")[2]
    if (media.id is None) == (media.link is None):
        yield malformed(field, "must have either id or link.")
    if media.caption is not None and kind not in _CAPTIONED:
        yield malformed(f"{field}.caption", "is not allowed.")
    if media.filename is not None and kind != "document":
        yield malformed(f"{field}.filename", "is allowed for documents only.")
    if media.voice is not None and kind != "audio":
        yield malformed(f"{field}.voice", "is allowed for audio only.")


def _contact_errors(contacts: Sequence[Contact]) -> Iterator[GraphError]:
    for index, contact in enumerate(contacts):
        name = contact.name
        parts = (name.first_name, name.last_name, name.middle_name, name.prefix, name.suffix)
        if not any(parts):
            yield missing(f"contacts[{index}].name.first_name")


def _header_errors(header: Header | None) -> Iterator[GraphError]:
    if header is None:
        return
    field = f"interactive.header.{header.type}"
    content = getattr(header, header.type)
    if content is None:
        yield missing(field)
    elif isinstance(content, Media):
        yield from _media_errors(field, content)


def _list_errors(interactive: ListInteractive) -> Iterator[GraphError]:
    sections = interactive.action.sections
    field = "interactive.action.sections"
    rows = [row for section in sections for row in section.rows]
    if len(rows) > MAX_LIST_ROWS:
        yield invalid(field, f"has {len(rows)} rows; at most {MAX_LIST_ROWS} are allowed in total.")
    for index, section in enumerate(sections):
        if len(sections) > 1 and not section.title:
            yield missing(f"{field}[{index}].title")
    yield from _duplicate_errors(field, "row id", (row.id for row in rows))


def _duplicate_errors(field: str, label: str, values: Iterable[str]) -> Iterator[GraphError]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield invalid(field, f"has the {label} {value!r} twice.")
        seen.add(value)
