"""Bodies for Meta, without the address; each is refused here if Meta would refuse it.

One module a kind. Limits and shapes: whatsapp_cloud_api.md sections 4.2 and 4.3.
"""

from chatbot.channels.whatsapp.payloads.interactive import (
    Row,
    Section,
    buttons_body,
    link_button_body,
    list_body,
)
from chatbot.channels.whatsapp.payloads.limits import (
    MAX_BUTTON_TITLE,
    MAX_BUTTONS,
    MAX_CAPTION,
    MAX_TEXT,
)
from chatbot.channels.whatsapp.payloads.media import MediaKind, media_body, with_media_id
from chatbot.channels.whatsapp.payloads.request import addressed, read_request
from chatbot.channels.whatsapp.payloads.template import template_body, template_writer
from chatbot.channels.whatsapp.payloads.text import location_body, text_body

__all__ = [
    "MAX_BUTTONS",
    "MAX_BUTTON_TITLE",
    "MAX_CAPTION",
    "MAX_TEXT",
    "MediaKind",
    "Row",
    "Section",
    "addressed",
    "buttons_body",
    "link_button_body",
    "list_body",
    "location_body",
    "media_body",
    "read_request",
    "template_body",
    "template_writer",
    "text_body",
    "with_media_id",
]
