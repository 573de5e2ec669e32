"""Meta's error codes and the policy for each (Meta, Cloud API error codes).

To add a code, add a line to CODES. Prosa acts by policy (ACTIONS), except for the four codes about a
person. The explanation shown to users is the code's own, else its policy's.
See https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l


class ErrorPolicy(StrEnum):
    RETRY = "retry"
    SLOW = "slow"
    PAIR = "pair"
    RECIPIENT = "recipient"
    MESSAGE = "message"
    TEMPLATE = "template"
    STOP = "stop"
    TOKEN = "token"  # noqa: S105 - the name of a policy, and not a password
    DEFER = "defer"


P = ErrorPolicy

ACTIONS: dict[ErrorPolicy, str] = {
    P.RETRY: "tried again a few times, each later than the last; then failed",
    P.SLOW: "queued again; the number sends nothing for a moment, then slower",
    P.PAIR: "queued again for this person only, 4^n seconds later; then failed",
    P.RECIPIENT: "failed for this person; the others go on",
    P.MESSAGE: "failed; the others go on",
    P.TEMPLATE: "campaigns of the template pause, with the reason",
    P.STOP: "the campaign pauses, with the reason, and the channel's page says so",
    P.TOKEN: "the number sends nothing until a person resumes it; its campaigns pause",
    P.DEFER: "failed; this person gets no marketing for 24 hours, then again",
}

# Codes that are about a person (delivery/side_effects.py).
UNREACHABLE = 131026
WINDOW_CLOSED = 131047
COOL_DOWN = 131049
OPT_OUT = 131050
ACTIONS_OF_CODE: dict[int, str] = {
    UNREACHABLE: "failed; after the second time no campaign writes to this person until something "
    "reaches them, or they write",
    WINDOW_CLOSED: "failed; the conversation's window counts as closed until the person writes again",
    OPT_OUT: "failed; recorded as an opt-out, unless the person decided otherwise since",
}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """Error code: Meta's meaning in short, and an explanation for users if the policy's is too vague."""

    policy: ErrorPolicy
    meaning: str
    explanation: LazyString | None = None


CODES: dict[int, ErrorCode] = {
    0: ErrorCode(P.TOKEN, "app user could not be authenticated"),
    1: ErrorCode(P.RETRY, "unknown API error"),
    2: ErrorCode(P.RETRY, "temporary downtime"),
    3: ErrorCode(P.STOP, "capability missing"),
    4: ErrorCode(P.SLOW, "app call rate limit"),
    10: ErrorCode(P.TOKEN, "permission removed"),
    33: ErrorCode(P.STOP, "business number deleted, or its id is wrong"),
    100: ErrorCode(P.MESSAGE, "invalid parameter"),
    190: ErrorCode(P.TOKEN, "access token expired"),
    368: ErrorCode(
        P.STOP,
        "account restricted for policy",
        _l("Meta has restricted the account for a policy violation: see why in the Meta account."),
    ),
    613: ErrorCode(P.SLOW, "too many calls"),
    80007: ErrorCode(P.SLOW, "account rate limit"),
    130403: ErrorCode(
        P.RECIPIENT,
        "we have blocked this user",
        _l("Our company has blocked this person in WhatsApp: unblock them at Meta first."),
    ),
    130429: ErrorCode(P.SLOW, "throughput exceeded"),
    130472: ErrorCode(
        P.RECIPIENT,
        "user is in an experiment of Meta",
        _l(
            "Meta keeps this person out of marketing for an experiment of its own: nothing "
            "can be done."
        ),
    ),
    130497: ErrorCode(
        P.RECIPIENT,
        "country not allowed",
        _l("Meta does not allow our business to write to this country."),
    ),
    131000: ErrorCode(P.RETRY, "unknown failure"),
    131005: ErrorCode(P.TOKEN, "access denied"),
    131008: ErrorCode(P.MESSAGE, "parameter missing"),
    131009: ErrorCode(P.MESSAGE, "parameter value invalid"),
    131014: ErrorCode(P.MESSAGE, "link of media not fetched"),
    131016: ErrorCode(P.RETRY, "service unavailable"),
    131021: ErrorCode(
        P.RECIPIENT,
        "recipient is the sender",
        _l("The number is our own: a message cannot be sent to its sender."),
    ),
    131026: ErrorCode(
        P.RECIPIENT,
        "undeliverable",
        _l(
            "WhatsApp could not deliver it: the number may have no WhatsApp, or an old "
            "version of it. Check the number, or reach this person another way."
        ),
    ),
    131030: ErrorCode(
        P.RECIPIENT,
        "not in the allowed list of a test number",
        _l("A test number can write only to the numbers on its list: add this one at Meta."),
    ),
    131031: ErrorCode(
        P.STOP, "account locked", _l("Meta has locked the account: see why in the Meta account.")
    ),
    131037: ErrorCode(
        P.STOP,
        "display name not approved",
        _l("Meta has not approved the name of our number yet: check it in the Meta account."),
    ),
    131042: ErrorCode(
        P.STOP,
        "payment problem",
        _l("Meta refuses to send because of a payment problem: settle it in the Meta account."),
    ),
    131045: ErrorCode(P.STOP, "number registration problem"),
    131047: ErrorCode(
        P.MESSAGE,
        "service window closed",
        _l(
            "More than 24 hours have passed since this person's last message: "
            "only a message template can be sent."
        ),
    ),
    131048: ErrorCode(
        P.STOP,
        "spam rate limit",
        _l("Meta limits our number because people reported it: wait a few hours, then send less."),
    ),
    131049: ErrorCode(
        P.DEFER,
        "Meta chose not to deliver",
        _l(
            "Meta did not deliver it, to limit how much marketing this person receives: try "
            "again after a day."
        ),
    ),
    131050: ErrorCode(
        P.RECIPIENT,
        "user stopped marketing",
        _l("This person has stopped marketing messages from us in WhatsApp: send no more."),
    ),
    131051: ErrorCode(
        P.MESSAGE, "kind not supported", _l("WhatsApp does not accept this type of message.")
    ),
    131052: ErrorCode(P.MESSAGE, "media of the user not downloaded"),
    131053: ErrorCode(
        P.MESSAGE,
        "media not uploaded",
        _l("The file could not be sent: WhatsApp does not accept its type or size."),
    ),
    131055: ErrorCode(P.MESSAGE, "method not allowed"),
    131056: ErrorCode(P.PAIR, "too many to this user"),
    131057: ErrorCode(P.RETRY, "account in maintenance"),
    131059: ErrorCode(P.RETRY, "cursor of a listing expired"),
    131060: ErrorCode(P.MESSAGE, "message unavailable"),
    131062: ErrorCode(
        P.RECIPIENT,
        "needs a phone number, not a user id",
        _l("This message needs a phone number, which this person hides: ask them to share it."),
    ),
    131063: ErrorCode(P.STOP, "marketing not enabled here"),
    131064: ErrorCode(P.STOP, "limited for template misclassification"),
    132000: ErrorCode(
        P.TEMPLATE,
        "number of parameters differs",
        _l("The template expects another number of values than it was given: sync the templates."),
    ),
    132001: ErrorCode(
        P.TEMPLATE,
        "template missing or not approved",
        _l("The template does not exist at Meta in this language, or is not approved."),
    ),
    132005: ErrorCode(
        P.MESSAGE,
        "filled text too long",
        _l("The filled-in text is longer than WhatsApp allows: shorten the values."),
    ),
    132007: ErrorCode(P.TEMPLATE, "template breaks policy"),
    132008: ErrorCode(P.MESSAGE, "parameter values wrong"),
    132012: ErrorCode(
        P.MESSAGE,
        "parameter format mismatch",
        _l("A value does not fit its place in the template: correct it in the contact."),
    ),
    132015: ErrorCode(
        P.TEMPLATE,
        "template paused",
        _l(
            "Meta has paused the template because of complaints: it becomes available again "
            "after some hours."
        ),
    ),
    132016: ErrorCode(
        P.TEMPLATE,
        "template disabled",
        _l("Meta has disabled the template permanently: use another one."),
    ),
    132018: ErrorCode(P.MESSAGE, "template parameter problem"),
    132068: ErrorCode(P.TEMPLATE, "flow blocked"),
    132069: ErrorCode(P.TEMPLATE, "flow throttled"),
    133000: ErrorCode(P.STOP, "earlier deregistration failed"),
    133004: ErrorCode(P.RETRY, "server unavailable"),
    133005: ErrorCode(P.STOP, "two-step PIN wrong"),
    133006: ErrorCode(P.STOP, "number must be verified first"),
    133008: ErrorCode(P.STOP, "too many PIN guesses"),
    133009: ErrorCode(P.STOP, "PIN guessed too fast"),
    133010: ErrorCode(
        P.STOP,
        "number not registered",
        _l("Our number is no longer registered at Meta: register it in the Meta account."),
    ),
    133015: ErrorCode(P.STOP, "number deleted recently"),
    133016: ErrorCode(P.STOP, "registered too often"),
    134011: ErrorCode(P.STOP, "payments terms not accepted"),
    134100: ErrorCode(P.MESSAGE, "only marketing allowed here"),
    134101: ErrorCode(P.RETRY, "template still syncing"),
    134102: ErrorCode(P.RETRY, "template unavailable"),
    135000: ErrorCode(P.MESSAGE, "generic user error"),
    136024: ErrorCode(P.STOP, "registration code not sent"),
    136025: ErrorCode(P.STOP, "registration code not verified"),
    137000: ErrorCode(
        P.RECIPIENT,
        "identity hash mismatch",
        _l("This person's security code has changed: confirm who they are first."),
    ),
}
POLICIES: dict[int, ErrorPolicy] = {code: known.policy for code, known in CODES.items()}

EXPLANATION_OF_POLICY: dict[ErrorPolicy, LazyString] = {
    P.RETRY: _l(
        "WhatsApp had a temporary failure and did not accept it after several attempts: send "
        "it again later."
    ),
    P.SLOW: _l("WhatsApp asked us to slow down: the message is sent again automatically."),
    P.PAIR: _l("Too many messages to this person in a short time: wait a little."),
    P.RECIPIENT: _l("WhatsApp does not deliver to this person: reach them another way."),
    P.MESSAGE: _l("WhatsApp refused this message as it is: change it before sending it again."),
    P.TEMPLATE: _l("WhatsApp refuses this template: check it in the Meta account."),
    P.STOP: _l("Meta has limited our account or number: check the Meta account."),
    P.TOKEN: _l("Meta no longer accepts our access token: an administrator must renew it."),
    P.DEFER: _l("Meta chose not to deliver it now: try again after a day."),
}


def get_error_policy(code: int, status: int = 400) -> ErrorPolicy:
    """Return the policy for a code; for an unknown one, guess it from the HTTP status."""
    known = CODES.get(code)
    if known is not None:
        return known.policy
    if 200 <= code <= 299:  # permission not granted or removed
        return ErrorPolicy.TOKEN
    if status == 429:
        return ErrorPolicy.SLOW
    return ErrorPolicy.RETRY if status >= 500 else ErrorPolicy.MESSAGE


def describe_action(code: int) -> str:
    """Describe what Prosa does about a code, for the documentation."""
    return ACTIONS_OF_CODE.get(code) or ACTIONS[get_error_policy(code)]


def explain_error(code: int | None) -> str:
    """Explain an error and what can be done about it, in the reader's language."""
    if code is None:
        return str(_l("It was refused without giving a reason."))
    known = CODES.get(code)
    return str((known and known.explanation) or EXPLANATION_OF_POLICY[get_error_policy(code)])
