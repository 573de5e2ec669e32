"""One value of each management field, in the shape of Meta's webhook reference."""

from __future__ import annotations

from typing import Any

TEMPLATE = {
    "message_template_id": 1,
    "message_template_name": "aviso",
    "message_template_language": "pt_BR",
}
FIELD_VALUES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("message_template_status_update", {"event": "PAUSED", "reason": "NONE", **TEMPLATE,
                                        "other_info": {"title": "FIRST_PAUSE"}}),
    ("message_template_quality_update", {"previous_quality_score": "GREEN",
                                         "new_quality_score": "RED", **TEMPLATE}),
    ("message_template_components_update", {**TEMPLATE, "message_template_element": "Olá"}),
    ("template_category_update", {"previous_category": "UTILITY", "new_category": "MARKETING",
                                  **TEMPLATE}),
    ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [
        {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1}]}),
    ("account_review_update", {"decision": "REJECTED"}),
    ("account_alerts", {"entity_type": "WABA", "entity_id": "1", "alert_info": {
        "alert_severity": "CRITICAL", "alert_status": "NONE", "alert_type": "OBA",
        "alert_description": "Look at it"}}),
    ("business_capability_update", {"max_daily_conversations_per_business": "TIER_2K"}),
    ("phone_number_quality_update", {"display_phone_number": "551140000000",
                                     "event": "FLAGGED", "current_limit": "TIER_10K"}),
    ("phone_number_name_update", {"display_phone_number": "551140000000", "decision": "APPROVED",
                                  "requested_verified_name": "Vento Sul"}),
    ("security", {"display_phone_number": "551140000000", "event": "PIN_CHANGED",
                  "requester": "1"}),
    ("user_preferences", {"user_preferences": [{"wa_id": "5511987654321", "value": "stop",
                                                "category": "marketing_messages"}]}),
    ("user_id_update", {"user_id_update": [{"wa_id": "5511987654321",
                                            "user_id": {"previous": "BR.1", "current": "BR.2"}}]}),
)  # fmt: skip
