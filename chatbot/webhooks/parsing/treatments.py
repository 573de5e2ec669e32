"""Tables of message kinds and webhook fields: what Prosa does with each (repeated in docs/whatsapp.md)."""

from __future__ import annotations

from enum import StrEnum


class Treatment(StrEnum):
    """Handling of an update. In any case its body is kept, is counted and can be replayed."""

    ANSWERED = "recorded in the thread; the bot answers"
    RECORDED = "recorded in the thread; no answer is expected"
    RECORDED_WITHOUT_WINDOW = "recorded in the thread; opens no service window"
    TEXT_REQUESTED = "recorded in the thread; the bot asks for text where the content was lost"
    APPLIED = "takes effect"
    STORED_ONLY = "kept and counted, without effect"


T = Treatment

# By Meta's `type` of a message. An unknown kind is recorded, and answered if it has a text.
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
    "nfm_reply": T.ANSWERED,
    "call_permission_reply": T.RECORDED,
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
# Old or other names of a kind.
KIND_ALIASES = {"voice": "audio", "unknown": "unsupported"}
# Error codes of messages without content: too large, or of a type that the Cloud API doesn't support.
LOST_CONTENT_CODES = frozenset({131052, 131060})
# Kinds of `interactive` that are no tapped choice: the answers of a form (Flow), and leave to call.
FORM_KINDS = ("nfm_reply", "call_permission_reply")
# Kinds whose content has no words of the person.
WORDLESS_KINDS = frozenset({"location", "contacts", *FORM_KINDS})
TAPPED_KINDS = frozenset({"button", "interactive"})

# Effects of the APPLIED fields. All of them also show on the page of the channel or of the contact.
FIELD_EFFECTS: dict[str, str] = {
    "messages": "messages are recorded, statuses update the messages we sent, errors of the "
    "number are shown (and halt it if our access token is invalid)",
    "user_preferences": "`stop` is an opt-out, `resume` and `signup` end it, unless the person has "
    "decided otherwise since; also for people who are no contacts yet",
    "user_id_update": "the contact gets the new user id (Meta withdrew this field; `system` has it too)",
    "message_template_status_update": "the template gets the status; its running campaigns pause, and "
    "resume when it is approved again",
    "message_template_quality_update": "the template gets the quality; RED pauses its campaigns, YELLOW "
    "warns",
    "message_template_components_update": "the templates are synced again",
    "template_category_update": "the template gets the category; a notice of a later change is only shown",
    "account_update": "restriction, disabling and deletion pause all campaigns; nothing is sent from a "
    "disabled or deleted account",
    "account_review_update": "shown",
    "account_alerts": "shown",
    "business_capability_update": "the number of people per day who may be messaged first",
    "phone_number_quality_update": "limit, quality and throughput of the number; FLAGGED pauses all "
    "campaigns",
    "phone_number_name_update": "shown",
    "security": "shown as severe",
}

# By `changes[].field`. Unknown fields are STORED_ONLY.
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
