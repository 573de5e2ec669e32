"""Imports of every feature's models, so that Alembic sees the whole schema."""

from chatbot.accounts.models import AuditEvent, FailedSignIn, KnownNetwork, PasswordLink, User
from chatbot.billing.models import Invoice
from chatbot.campaigns.models import Campaign, PreviewSend, Recipient
from chatbot.channels.media.models import MediaChunk, MediaFile
from chatbot.channels.models import Channel, ChannelEvent
from chatbot.company.models import CompanyLogo, SettingChange, StoredSetting
from chatbot.contacts.imports.uploads import Upload, UploadChunk, UploadError
from chatbot.contacts.models import (
    ConsentEvent,
    Contact,
    ContactIdentity,
    ContactTag,
    Suppression,
)
from chatbot.conversations.models import Conversation, Message
from chatbot.core.metrics import MetricSum, ProcessReport
from chatbot.core.sessions import StoredSession
from chatbot.delivery.installation import Installation
from chatbot.delivery.models import DoubleAcceptance, ReceiptWatermark
from chatbot.message_templates.models import MessageTemplate
from chatbot.message_templates.prices import MessagePrice
from chatbot.ops.models import Alert
from chatbot.segments.models import Segment
from chatbot.webhooks.models import WaitingStatus, WebhookBody, WebhookCount, WebhookUpdate

__all__ = [
    "Alert",
    "AuditEvent",
    "Campaign",
    "Channel",
    "ChannelEvent",
    "CompanyLogo",
    "ConsentEvent",
    "Contact",
    "ContactIdentity",
    "ContactTag",
    "Conversation",
    "DoubleAcceptance",
    "FailedSignIn",
    "Installation",
    "Invoice",
    "KnownNetwork",
    "MediaChunk",
    "MediaFile",
    "Message",
    "MessagePrice",
    "MessageTemplate",
    "MetricSum",
    "PasswordLink",
    "PreviewSend",
    "ProcessReport",
    "ReceiptWatermark",
    "Recipient",
    "Segment",
    "SettingChange",
    "StoredSession",
    "StoredSetting",
    "Suppression",
    "Upload",
    "UploadChunk",
    "UploadError",
    "User",
    "WaitingStatus",
    "WebhookBody",
    "WebhookCount",
    "WebhookUpdate",
]
