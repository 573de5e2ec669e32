"""Webhook bodies of another account, in the shapes of the webhook reference of Meta's Cloud API."""

from __future__ import annotations

from typing import Any

NUMBER = {"display_phone_number": "558133330000", "phone_number_id": "700000000000001"}
SENDER = "5581988887777"
MEDIA = {"id": "800000000000001", "sha256": "c2FtcGxlIG9mIGEgaGFzaA==", "mime_type": "image/jpeg"}
TEMPLATE = {"message_template_id": 900001, "message_template_name": "aviso_de_visita",
            "message_template_language": "pt_BR"}  # fmt: skip

MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": {"body": "Bom dia, chegou minha encomenda?"}},
    "text_reply": {"type": "text", "text": {"body": "essa aqui"},
                   "context": {"from": NUMBER["display_phone_number"], "id": "wamid.sample.before"}},
    "image": {"type": "image", "image": MEDIA | {"caption": "o comprovante"}},
    "audio": {"type": "audio", "audio": MEDIA | {"mime_type": "audio/ogg; codecs=opus",
                                                 "voice": True}},
    "video": {"type": "video", "video": MEDIA | {"mime_type": "video/mp4"}},
    "document": {"type": "document", "document": MEDIA | {"mime_type": "application/pdf",
                                                          "filename": "contrato final.pdf"}},
    "sticker": {"type": "sticker", "sticker": MEDIA | {"mime_type": "image/webp",
                                                       "animated": False}},
    "location": {"type": "location", "location": {"latitude": -8.0631, "longitude": -34.8711,
                                                  "name": "Marco Zero"}},
    "contacts": {"type": "contacts", "contacts": [
        {"name": {"formatted_name": "Rui Prado", "first_name": "Rui"},
         "phones": [{"phone": "+55 81 98888-6666", "wa_id": "5581988886666", "type": "CELL"}]}]},
    "template_button": {"type": "button", "button": {"text": "Confirmar", "payload": "sim"}},
    "interactive_button": {"type": "interactive", "interactive": {
        "type": "button_reply", "button_reply": {"id": "menu:1", "title": "Segunda via"}}},
    "interactive_list": {"type": "interactive", "interactive": {
        "type": "list_reply", "list_reply": {"id": "plano:2", "title": "500 mega",
                                             "description": "fibra"}}},
    "reaction": {"type": "reaction", "reaction": {"message_id": "wamid.sample.before",
                                                  "emoji": "👍"}},
    "order": {"type": "order", "order": {"catalog_id": "77", "text": "entregar à tarde",
        "product_items": [{"product_retailer_id": "bolo", "quantity": 2, "item_price": 31.5,
                           "currency": "BRL"}]}},
    "ad_referral": {"type": "text", "text": {"body": "quero saber mais"}, "referral": {
        "source_type": "ad", "source_id": "1", "source_url": "https://fb.example/1",
        "headline": "Fibra por 99"}},
    "number_change": {"type": "system", "system": {
        "type": "user_changed_number", "wa_id": "5581977776666", "body": "mudou de número"}},
    "unsupported": {"type": "unsupported", "errors": [
        {"code": 131051, "title": "Message type unknown"}]},
}  # fmt: skip

STATUSES: dict[str, dict[str, Any]] = {
    "status_sent": {"status": "sent", "conversation": {
        "id": "conv1", "expiration_timestamp": "1795500000", "origin": {"type": "utility"}},
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"}},
    "status_delivered": {"status": "delivered"},
    "status_read": {"status": "read"},
    "status_window_closed": {"status": "failed", "errors": [
        {"code": 131047, "title": "Re-engagement message",
         "error_data": {"details": "More than 24 hours have passed"}}]},
    "status_media_failed": {"status": "failed", "errors": [
        {"code": 131053, "title": "Media upload error"}]},
}  # fmt: skip

FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "account_banned": ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {
        "waba_ban_state": "SCHEDULE_FOR_DISABLE", "waba_ban_date": "December 1, 2026"}}),
    "account_restricted": ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [
        {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION", "expiration": 1795600000}]}),
    "account_review": ("account_review_update", {"decision": "APPROVED"}),
    "name_decision": ("phone_number_name_update", {
        "display_phone_number": NUMBER["display_phone_number"], "decision": "REJECTED",
        "requested_verified_name": "Provedor Norte", "rejection_reason": "NAME_FORMAT"}),
    "number_quality": ("phone_number_quality_update", {
        "display_phone_number": NUMBER["display_phone_number"], "event": "DOWNGRADE",
        "current_limit": "TIER_1K"}),
    "template_rejected": ("message_template_status_update", {
        "event": "REJECTED", "reason": "INCORRECT_CATEGORY", **TEMPLATE}),
    "template_disabled": ("message_template_status_update", {
        "event": "FLAGGED", "disable_info": {"disable_date": "December 5, 2026"}, **TEMPLATE}),
}  # fmt: skip


def body(field: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a body of an account that is not the one of the tests."""
    change = {"field": field, "value": value}
    entry = {"id": "600000000000001", "time": 1795420000, "changes": [change]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def make_webhooks() -> dict[str, Any]:
    found = {name: body(field, value) for name, (field, value) in FIELDS.items()}
    shared = {"messaging_product": "whatsapp", "metadata": NUMBER}
    for name, message in MESSAGES.items():
        head = {"from": SENDER, "id": f"wamid.sample.{name}", "timestamp": "1795420000"}
        contact = {"profile": {"name": "Dora Brito"}, "wa_id": SENDER}
        value = {**shared, "contacts": [contact], "messages": [head | message]}
        found[name] = body("messages", value)
    for name, status in STATUSES.items():
        head = {"id": f"wamid.sample.{name}", "recipient_id": SENDER, "timestamp": "1795420000"}
        found[name] = body("messages", {**shared, "statuses": [head | status]})
    return found
