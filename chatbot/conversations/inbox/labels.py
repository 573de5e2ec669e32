"""Labels and icons of conversation states, message kinds and failures."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.channels.media.file_types import INLINE_TYPES
from chatbot.channels.media.labels import get_transfer_status
from chatbot.channels.media.models import FileSummary
from chatbot.channels.whatsapp.errors import explain_error
from chatbot.conversations.contents import Detail
from chatbot.conversations.inbox.formatting import format_text
from chatbot.conversations.inbox.threads import Bubble
from chatbot.conversations.models import Author, ConversationState, Direction
from chatbot.delivery.models import MessageState

STATE_LABELS: dict[str, LazyString] = {
    ConversationState.BOT: _l("With the bot"),
    ConversationState.WAITING: _l("Waiting for a person"),
    ConversationState.ASSIGNED: _l("With an agent"),
    ConversationState.CLOSED: _l("Closed"),
}
AUTHOR_LABELS: dict[str, LazyString] = {
    Author.BOT: _l("Bot"),
    Author.AGENT: _l("Agent"),
    Author.CAMPAIGN: _l("Campaign"),
    Author.PREVIEW: _l("Test of a campaign"),
}

# Reasons and intents for which the bot hands over; any other reason is free text and shown as it is.
HANDOFF_REASON_LABELS: dict[str, LazyString] = {
    "requested": _l("asked for a person"),
    "talk_to_human": _l("asked for a person"),
    "complaint": _l("complains"),
    "payment_done": _l("says it is paid"),
    "invoice_without_means": _l("an invoice without boleto or Pix"),
    "technical_support": _l("technical problem"),
    "cancel_service": _l("wants to cancel"),
    "plan_upgrade": _l("wants another plan"),
    "unblock_trust": _l("asks to be unblocked"),
    "business_hours": _l("asks for the opening hours"),
    "address_location": _l("asks for the address"),
    "not_understood": _l("the bot did not understand"),
    "bot_failed": _l("the bot failed"),
    "order": _l("placed an order"),
    "bot_loop": _l("seems to be another robot"),
    "agent": _l("handed over by an agent"),
    "account_closed": _l("the account of its agent was closed"),
}

# Shown beside the label in lists, and instead of it on small screens.
STATE_ICONS: dict[str, str] = {
    ConversationState.BOT: "robot",
    ConversationState.WAITING: "person-raised-hand",
    ConversationState.ASSIGNED: "person-check",
    ConversationState.CLOSED: "check2",
}

# Icon and label of messages that are not plain text.
MESSAGE_KIND_LABELS: dict[str, tuple[str, LazyString]] = {
    "image": ("image", _l("Image")),
    "audio": ("mic", _l("Voice message")),
    "video": ("play-fill", _l("Video")),
    "document": ("file-earmark-text", _l("Document")),
    "sticker": ("image", _l("Sticker")),
    "location": ("geo-alt", _l("Location")),
    "contacts": ("person", _l("Contact card")),
    "reaction": ("chat-dots", _l("Reaction")),
    "order": ("list-check", _l("Order")),
    "nfm_reply": ("list-check", _l("Answers of a form")),
    "call_permission_reply": ("telephone", _l("Answered a request to call")),
    "template": ("megaphone", _l("Message template")),
    "button": ("check", _l("Tapped a button")),
    "edit": ("pencil", _l("Edited an earlier message")),
    "revoke": ("trash", _l("Deleted an earlier message")),
    "system": ("info-circle", _l("Notice from WhatsApp")),
    "request_welcome": ("chat-dots", _l("Opened the chat")),
    "unsupported": ("question-circle", _l("A type of message that WhatsApp does not pass on")),
}
# Labels of `conversations.contents.Detail`.
DETAIL_LABELS: dict[str, LazyString] = {
    "place": _l("Place"),
    "address": _l("Address"),
    "coordinates": _l("Coordinates"),
    "link": _l("Link"),
    "item": _l("Item"),
    "total": _l("Total"),
    "name": _l("Name"),
    "phone": _l("Phone"),
    "email": _l("Email"),
    "company": _l("Company"),
    "answer": _l("Answer"),
    "call_permission": _l("Answer"),  # its values are in CALL_PERMISSION_LABELS
    "description": _l("Description"),
    "file_name": _l("File"),
    "ad": _l("Came from the ad"),
    "ad_text": _l("Text of the ad"),
    "ad_link": _l("Link of the ad"),
    "product": _l("About the product"),
}
CALL_PERMISSION_LABELS: dict[str, LazyString] = {
    "accept": _l("you may call"),
    "reject": _l("does not want to be called"),
}
_UNLABELLED_KINDS = frozenset({"text", "interactive"})

SKIP_REASON_LABELS: dict[str, LazyString] = {
    "window_closed": _l(
        "Not sent: more than 24 hours had passed since this contact's last message."
    ),
    "agent_took_over": _l("Not sent: an agent had taken over from the bot."),
    "media_refused": _l("Not sent: its file could not be uploaded."),
    "erased": _l("Not sent: the contact was erased."),
}


@dataclass(frozen=True, slots=True)
class Tick:
    """State icon beside an outbound message; `label` is for screen readers."""

    icon: str
    style: str
    label: LazyString


TICKS: dict[str, Tick] = {
    MessageState.QUEUED: Tick("clock", "tick", _l("Waiting to be sent")),
    MessageState.SENDING: Tick("clock", "tick", _l("Being sent")),
    MessageState.ACCEPTED: Tick("clock", "tick", _l("Handed to WhatsApp")),
    MessageState.SENT: Tick("check2", "tick", _l("Sent")),
    MessageState.DELIVERED: Tick("check2-all", "tick", _l("Delivered")),
    MessageState.READ: Tick("check2-all", "tick tick-read", _l("Read")),
    MessageState.FAILED: Tick("exclamation-circle", "tick tick-failed", _l("Failed")),
    MessageState.SKIPPED: Tick("x-circle", "tick tick-failed", _l("Not sent")),
    MessageState.UNKNOWN: Tick("question-circle", "tick tick-failed", _l("In doubt")),
}


def tick_of(message: Bubble) -> Tick | None:
    return TICKS.get(message.state or "")


def kind_of(message: Bubble) -> tuple[str, str] | None:
    """Return icon and label of a message that is not plain text."""
    if message.kind in _UNLABELLED_KINDS:
        return None
    icon, label = MESSAGE_KIND_LABELS.get(
        message.kind, ("paperclip", _l("Another kind of message"))
    )
    return icon, str(label)


def detail_label_of(detail: Detail) -> str:
    """Return the label of a line of content; forms name their fields themselves."""
    return detail.label if detail.is_named_by_sender else str(DETAIL_LABELS[detail.label])


def detail_value_of(detail: Detail) -> str:
    if detail.label == "call_permission" and not detail.is_named_by_sender:
        return str(CALL_PERMISSION_LABELS.get(detail.value) or detail.value)
    return detail.value


def shown_as(file: FileSummary | None) -> str | None:
    """Return `image`, `audio`, `video` or `download`, or None for a file that is not complete."""
    if file is None or not file.is_complete:
        return None
    if file.mime_type not in INLINE_TYPES:
        return "download"
    return "image" if file.mime_type.startswith("image/") else file.mime_type.partition("/")[0]


def file_status_of(file: FileSummary | None) -> str | None:
    return get_transfer_status(file) if file else None


def problem_of(message: Bubble) -> str | None:
    """Return a sentence about the failure of an outbound message, or None."""
    if message.direction == Direction.INBOUND:
        return None
    if message.state == MessageState.FAILED:
        return explain_error(message.error_code)
    if message.state == MessageState.SKIPPED:
        return str(SKIP_REASON_LABELS.get(message.skip_reason or "") or _l("It was not sent."))
    if message.state == MessageState.UNKNOWN:
        return str(_l("WhatsApp did not answer: it is not known yet whether the message arrived."))
    if message.state == MessageState.QUEUED and message.error_code is not None:
        return explain_error(message.error_code)
    return None


def version_of(message: Bubble) -> str:
    """Return a string that changes whenever the message is rendered differently."""
    of_file = f"{message.file.transfer}-{message.file.problem}" if message.file else ""
    return f"{message.state}-{message.error_code}-{message.skip_reason}-{of_file}"


def preview_of(text: str) -> tuple[str | None, str]:
    """Return icon and text of the last message; a message without text is stored as `[kind]`."""
    if text.startswith("[") and text.endswith("]"):
        icon, label = MESSAGE_KIND_LABELS.get(text[1:-1], (None, None))
        return icon, str(label or _l("Another kind of message"))
    return None, format_text(text).striptags()


def reason_of(handoff_reason: str | None) -> str | None:
    known = HANDOFF_REASON_LABELS.get(handoff_reason or "")
    return str(known) if known else handoff_reason
