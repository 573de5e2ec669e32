"""Queue what an agent sends: text with or without buttons, a file, or a message template.

The functions write in the caller's transaction; after an error the caller must roll back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from chatbot.channels.media.file_types import SENDABLE_TYPES
from chatbot.channels.media.files import queue_upload
from chatbot.channels.whatsapp.payloads import (
    buttons_body,
    media_body,
    template_body,
    text_body,
)
from chatbot.channels.whatsapp.payloads.limits import FILLED_TEMPLATE, check_length
from chatbot.channels.whatsapp.payloads.media import WITH_CAPTION
from chatbot.contacts.models import Contact
from chatbot.conversations.models import Author, Conversation, Message
from chatbot.conversations.outbound import queue_message
from chatbot.conversations.service import assign, find_by_client_token, is_window_open
from chatbot.core.db import db
from chatbot.core.errors import Conflict, InvalidInput
from chatbot.message_templates.components import render_preview, render_text
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.service import check_usable
from chatbot.message_templates.values import check_values

# Prefix of the ids of an agent's buttons. A tap returns the id; the bot reads the button's title instead.
BUTTON_PREFIX = "agent:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    stream: BinaryIO
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDraft:
    """Reply as the form has it. `client_token` identifies the form, so resubmitting queues nothing."""

    text: str = ""
    buttons: Sequence[str] = ()
    attachment: Attachment | None = None
    client_token: str | None = None


def queue_reply(conversation: Conversation, draft: ReplyDraft, user_id: int) -> Message:
    """Queue an agent's reply and assign them the conversation, which must be locked.

    Raises:
        Conflict: the service window is closed, or another agent has the conversation.
        InvalidInput: a limit of WhatsApp is exceeded; the message names it.
    """
    # The lock makes the second of two concurrent submissions find the message of the first.
    existing = find_by_client_token(conversation, draft.client_token)
    if existing is not None:
        return existing
    if not is_window_open(conversation):
        raise Conflict(
            "More than 24 hours have passed since this contact's last message: WhatsApp now "
            "accepts only a message template."
        )
    assign(conversation, user_id)
    if draft.attachment is not None:
        return _queue_file(conversation, draft, draft.attachment, user_id)
    body = _build_text_body(draft)
    return queue_message(conversation, body, draft.text, Author.AGENT, user_id, draft.client_token)


def _build_text_body(draft: ReplyDraft) -> dict[str, Any]:
    if not draft.buttons:
        return text_body(draft.text)
    numbered = [(f"{BUTTON_PREFIX}{n}", title) for n, title in enumerate(draft.buttons, start=1)]
    return buttons_body(draft.text, numbered)


def _queue_file(
    conversation: Conversation, draft: ReplyDraft, attachment: Attachment, user_id: int
) -> Message:
    if draft.buttons:
        raise InvalidInput(
            "Buttons can't be combined with a file: send them after it.", field="buttons"
        )
    file = queue_upload(conversation.channel_id, attachment.stream, attachment.file_name)
    kind = SENDABLE_TYPES[file.mime_type].kind
    is_caption = kind in WITH_CAPTION
    body = media_body(
        kind, caption=draft.text if is_caption else None, file_name=attachment.file_name[-240:]
    )
    message = queue_message(
        conversation,
        body,
        draft.text if is_caption else "",
        Author.AGENT,
        user_id,
        draft.client_token,
        file.id,
    )
    if draft.text and not is_caption:  # audio has no caption, so the text follows
        queue_message(conversation, text_body(draft.text), draft.text, Author.AGENT, user_id)
    return message


def queue_template_message(
    conversation: Conversation,
    template: MessageTemplate,
    values: Mapping[str, str],
    user_id: int,
    client_token: str | None = None,
) -> Message:
    """Queue a filled template, which needs no open service window.

    Raises:
        Conflict: another agent has the conversation, or the contact has opted out of marketing.
        InvalidInput: the template is not approved, or a value is missing or invalid.
    """
    existing = find_by_client_token(conversation, client_token)
    if existing is not None:
        return existing
    check_usable(template)
    components = template.components
    check_values(components, values)
    _check_consent(conversation, template)
    body = template_body(
        template.name,
        template.language,
        values,
        named=template.parameter_format == "NAMED",
        components=components,
    )
    check_length("text", render_preview(components, values).body, FILLED_TEMPLATE)
    assign(conversation, user_id)
    text = render_text(components, values)
    return queue_message(conversation, body, text, Author.AGENT, user_id, client_token)


def _check_consent(conversation: Conversation, template: MessageTemplate) -> None:
    contact = db.session.get_one(Contact, conversation.contact_id)
    if contact.opted_out_at is not None and template.category.upper() == "MARKETING":
        raise Conflict(
            "This contact has refused marketing: choose a template of another category, or "
            "wait until the contact writes."
        )
