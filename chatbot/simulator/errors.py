"""Errors in the shape of the Graph API.

Codes, titles and HTTP statuses: Meta, Cloud API error codes
(developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes).
"""

import secrets
import string

import msgspec

# code -> (HTTP status, title). Where Meta's table gives no status, it is our guess.
ERROR_CODES = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    190: (401, "Invalid OAuth access token"),
    200: (403, "API Permission"),
    368: (403, "Temporarily blocked for policies violations"),
    613: (429, "Calls to this API have exceeded the rate limit"),
    2500: (404, "Unknown path components"),
    80007: (400, "Rate limit issues"),
    130403: (400, "Recipient is blocked by the business"),
    130429: (400, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131014: (400, "Request for url failed"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Account has been locked"),
    131037: (
        400,
        "WhatsApp provided number needs display name approval before message can be sent",
    ),
    131042: (400, "Business eligibility payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "This message was not delivered to maintain healthy ecosystem engagement."),
    131050: (400, "User has stopped receiving marketing messages from this business"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131055: (400, "Method not allowed"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131059: (400, "Paging cursor expired"),
    131062: (400, "Business-scoped user ID is not allowed for this message"),
    131063: (400, "Marketing messages are not enabled for this account"),
    131064: (400, "Limited because of template misclassification"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132007: (400, "Template format character policy violated"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is Paused"),
    132016: (400, "Template is Disabled"),
    132018: (400, "Template parameter is not valid"),
    132068: (400, "Flow is blocked"),
    132069: (400, "Flow is throttled"),
    133004: (503, "Server temporarily unavailable"),
    133010: (400, "Phone number not registered"),
    135000: (400, "Generic user error"),
}
FAILURE_DETAILS = {
    131009: "The message reacted to is unknown, deleted or older than 30 days.",
    131026: "Message Undeliverable.",
    131047: "Message failed to send because more than 24 hours have passed since the customer "
    "last replied to this number.",
    131049: "In order to maintain a healthy ecosystem engagement, the message failed to be "
    "delivered.",
    131050: "The recipient has stopped receiving marketing messages from this business.",
    131053: "The media of the message could not be fetched, or is not what it is said to be.",
    132015: "Template is paused because of low quality.",
}
HELP_URL = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
TRANSIENT_CODES = frozenset({2, 131016, 133004})
_TRACE_ALPHABET = string.ascii_letters + string.digits + "_-"


class GraphError(Exception):
    """Refusal that is answered to the caller in the shape of the Graph API."""

    def __init__(
        self, code: int, details: str = "", *, kind: str = "OAuthException", subcode: int = 0
    ) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.kind = kind
        self.subcode = subcode
        self.status, self.title = ERROR_CODES[code]

    def body(self) -> bytes:
        error: dict[str, object] = {
            "message": f"(#{self.code}) {self.title}",
            "type": self.kind,
            "code": self.code,
            "fbtrace_id": make_trace_id(),
        }
        if self.code in TRANSIENT_CODES:
            error["is_transient"] = True
        if self.subcode:
            error |= {"message": self.details, "error_subcode": self.subcode}
        elif self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        return msgspec.json.encode({"error": error})


def missing(field: str) -> GraphError:
    return GraphError(131008, f"The parameter {field} is required.")


def invalid(field: str, reason: str) -> GraphError:
    return GraphError(131009, f"Param {field} {reason}")


def malformed(field: str, reason: str) -> GraphError:
    return GraphError(100, f"Param {field} {reason}")


def unknown_object(object_id: str, method: str) -> GraphError:
    """Return the error for an unknown object id: HTTP 400, code 100, subcode 33."""
    text = (
        f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, "
        "cannot be loaded due to missing permissions, or does not support this operation."
    )
    return GraphError(100, text, kind="GraphMethodException", subcode=33)


def make_trace_id() -> str:
    return "A" + "".join(secrets.choice(_TRACE_ALPHABET) for _ in range(22))


def get_error_details(code: int) -> str:
    return FAILURE_DETAILS.get(code) or ERROR_CODES[code][1]


def render_status_error(code: int) -> dict[str, object]:
    """Return the `errors[]` item of a `failed` status webhook."""
    title = ERROR_CODES[code][1]
    return {"code": code, "title": title, "message": title,
            "error_data": {"details": get_error_details(code)}, "href": HELP_URL}  # fmt: skip
