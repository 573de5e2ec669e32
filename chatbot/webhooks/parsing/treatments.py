"""The kinds of messages and fields as tables: what Prosa does with each (docs/whatsapp.md repeats them)."""

from __future__ import annotations

from enum import StrEnum


class Treatment(StrEnum):
    """What becomes of an update. Whatever it is, its body is kept, counted and can be replayed."""

    ANSWERED = "recorded in the thread; the bot answers"
    RECORDED = "recorded in the thread; no answer is expected"
    RECORDED_WITHOUT_WINDOW = "recorded in the thread; opens no service window"
    TEXT_REQUESTED = "recorded in the thread; the bot asks for text where the content was lost"
    APPLIED = "takes effect"
    STORED_ONLY = "kept and counted, without effect"


T = Treatment

# Meta's `type` → what is done (sections 2.1 to 2.3). A kind that stands nowhere is recorded, and
# answered where it has words.
MESSAGE_TREATMENTS: dict[str, Treatment] = {
    "text": T.ANSWERED,
    "image": T.ANSWERED,
    "video": T.ANSWERED,
    "audio": T.ANSWERED,
    "voice": T.ANSWERED,
    "document": T.ANSWERED,
    "location": T.ANSWERED,
    "contacts": T.ANSWERED,
    "order": T.ANSWERED,
    "button": T.ANSWERED,
    "interactive": T.ANSWERED,
    "request_welcome": T.ANSWERED,
    "sticker": T.RECORDED,
    "reaction": T.RECORDED,
    "edit": T.RECORDED,
    "revoke": T.RECORDED,
    "ephemeral": T.RECORDED,
    "unsupported": T.TEXT_REQUESTED,
    "unknown": T.TEXT_REQUESTED,
    "system": T.RECORDED_WITHOUT_WINDOW,
}
# Old or other words for a kind.
KIND_ALIASES = {"voice": "audio", "unknown": "unsupported"}
# The content got lost on the way: too large, or written on a device that the Cloud API can't read.
LOST_CONTENT_CODES = frozenset({131052, 131060})
TAPPED_KINDS = frozenset({"button", "interactive"})

# What an APPLIED field does, in words; all of them also show on the channel's page or the contact's.
FIELD_EFFECTS: dict[str, str] = {
    "messages": "messages are recorded, statuses lift the ledger's rows, errors of the number are shown "
    "(and halt it where our access is dead)",
    "user_preferences": "`stop` is an opt-out, `resume` and `signup` end it, unless the person decided "
    "otherwise since; also of people who are no contact yet",
    "user_id_update": "the contact has the new user id (Meta withdrew this field; `system` says it too)",
    "message_template_status_update": "the template has the status; its running campaigns pause, and go "
    "on when it is approved again",
    "message_template_quality_update": "the template has the quality; RED pauses its campaigns, YELLOW "
    "warns",
    "message_template_components_update": "the templates are fetched anew",
    "template_category_update": "the template has the category; a notice of a change to come only shows",
    "account_update": "restriction, disabling and deletion pause all campaigns; disabled or deleted, "
    "nothing is sent",
    "account_review_update": "shown",
    "account_alerts": "shown",
    "business_capability_update": "the number of people a day that may be written to first",
    "phone_number_quality_update": "limit, quality and throughput of the number; FLAGGED pauses all "
    "campaigns",
    "phone_number_name_update": "shown",
    "security": "shown as grave",
}

# `changes[].field` → what is done (section 7.5). One that stands nowhere is KEPT.
FIELD_TREATMENTS: dict[str, Treatment] = {
    "messages": T.APPLIED,
    "user_preferences": T.APPLIED,
    "user_id_update": T.APPLIED,
    "message_template_status_update": T.APPLIED,
    "message_template_quality_update": T.APPLIED,
    "message_template_components_update": T.APPLIED,
    "template_category_update": T.APPLIED,
    "account_update": T.APPLIED,
    "account_review_update": T.APPLIED,
    "account_alerts": T.APPLIED,
    "business_capability_update": T.APPLIED,
    "phone_number_quality_update": T.APPLIED,
    "phone_number_name_update": T.APPLIED,
    "security": T.APPLIED,
    "account_settings_update": T.STORED_ONLY,
    "automatic_events": T.STORED_ONLY,
    "business_username_update": T.STORED_ONLY,
    "business_username_updates": T.STORED_ONLY,
    "calls": T.STORED_ONLY,
    "flows": T.STORED_ONLY,
    "group_lifecycle_update": T.STORED_ONLY,
    "group_participants_update": T.STORED_ONLY,
    "group_settings_update": T.STORED_ONLY,
    "group_status_update": T.STORED_ONLY,
    "history": T.STORED_ONLY,
    "partner_solutions": T.STORED_ONLY,
    "payment_configuration_update": T.STORED_ONLY,
    "smb_app_state_sync": T.STORED_ONLY,
    "smb_message_echoes": T.STORED_ONLY,
}
