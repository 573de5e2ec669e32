"""Message bodies for Meta, without the recipient. Bodies that Meta would refuse raise InvalidInput.

Shapes and limits: https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

from chatbot.channels.whatsapp.payloads.interactive import (
    ListRow,
    ListSection,
    buttons_body,
    link_button_body,
    list_body,
)
from chatbot.channels.whatsapp.payloads.limits import (
    MAX_BUTTON_TITLE,
    MAX_BUTTONS,
    MAX_CAPTION,
    MAX_MESSAGE_TEXT,
)
from chatbot.channels.whatsapp.payloads.media import MediaKind, media_body, with_media_id
from chatbot.channels.whatsapp.payloads.request import render_read_receipt, render_request
from chatbot.channels.whatsapp.payloads.template import compile_template, template_body
from chatbot.channels.whatsapp.payloads.text import location_body, text_body

__all__ = [
    "MAX_BUTTONS",
    "MAX_BUTTON_TITLE",
    "MAX_CAPTION",
    "MAX_MESSAGE_TEXT",
    "ListRow",
    "ListSection",
    "MediaKind",
    "buttons_body",
    "compile_template",
    "link_button_body",
    "list_body",
    "location_body",
    "media_body",
    "render_read_receipt",
    "render_request",
    "template_body",
    "text_body",
    "with_media_id",
]
