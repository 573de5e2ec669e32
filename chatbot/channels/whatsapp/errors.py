"""Meta's error codes as data: what each asks of us (whatsapp_cloud_api.md section 5.2).

To add a code, add a line to CODES. What Prosa does is by reaction (ACTIONS), but for the four codes that
say something of a person; the sentence that people read is the code's own, else its reaction's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l


class Reaction(StrEnum):
    RETRY = "retry"
    SLOW = "slow"
    PAIR = "pair"
    RECIPIENT = "recipient"
    MESSAGE = "message"
    TEMPLATE = "template"
    STOP = "stop"
    TOKEN = "token"  # noqa: S105 - no password: its name says that Meta no longer takes ours
    DEFER = "defer"


R = Reaction

ACTIONS: dict[Reaction, str] = {
    R.RETRY: "tried again a few times, each later than the last; then failed",
    R.SLOW: "queued again; the number sends nothing for a moment, then slower",
    R.PAIR: "queued again for this person only, 4^n seconds later; then failed",
    R.RECIPIENT: "failed for this person; the others go on",
    R.MESSAGE: "failed; the others go on",
    R.TEMPLATE: "campaigns of the template pause, with the reason",
    R.STOP: "the campaign pauses, with the reason, and the channel's page says so",
    R.TOKEN: "the number sends nothing until a person resumes it; its campaigns pause",
    R.DEFER: "failed; this person gets no marketing for 24 hours, then again",
}

# The codes that say something of a person (delivery/consequences.py).
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
class Known:
    """A code: Meta's meaning in short, and the sentence for people if the reaction's is not enough."""

    reaction: Reaction
    meaning: str
    sentence: LazyString | None = None


CODES: dict[int, Known] = {
    0: Known(R.TOKEN, "app user could not be authenticated"),
    1: Known(R.RETRY, "unknown API error"),
    2: Known(R.RETRY, "temporary downtime"),
    3: Known(R.STOP, "capability missing"),
    4: Known(R.SLOW, "app call rate limit"),
    10: Known(R.TOKEN, "permission removed"),
    33: Known(R.STOP, "business number deleted, or its id is wrong"),
    100: Known(R.MESSAGE, "invalid parameter"),
    190: Known(R.TOKEN, "access token expired"),
    368: Known(
        R.STOP,
        "account restricted for policy",
        _l("Meta has restricted the account for breaking its policy: see why in the Meta account."),
    ),
    613: Known(R.SLOW, "too many calls"),
    80007: Known(R.SLOW, "account rate limit"),
    130403: Known(
        R.RECIPIENT,
        "we have blocked this user",
        _l("Our company has blocked this person in WhatsApp: unblock them at Meta first."),
    ),
    130429: Known(R.SLOW, "throughput exceeded"),
    130472: Known(
        R.RECIPIENT,
        "user is in an experiment of Meta",
        _l(
            "Meta keeps this person out of marketing for an experiment of its own: "
            "there is nothing to do."
        ),
    ),
    130497: Known(
        R.RECIPIENT,
        "country not allowed",
        _l("Meta doesn't let our business write to this country."),
    ),
    131000: Known(R.RETRY, "unknown failure"),
    131005: Known(R.TOKEN, "access denied"),
    131008: Known(R.MESSAGE, "parameter missing"),
    131009: Known(R.MESSAGE, "parameter value invalid"),
    131014: Known(R.MESSAGE, "link of media not fetched"),
    131016: Known(R.RETRY, "service unavailable"),
    131021: Known(
        R.RECIPIENT,
        "recipient is the sender",
        _l("The number is our own: a message can't be sent to its sender."),
    ),
    131026: Known(
        R.RECIPIENT,
        "undeliverable",
        _l(
            "WhatsApp couldn't deliver it: the number may have no WhatsApp, or an old version of "
            "it. Check the number, or reach this person another way."
        ),
    ),
    131030: Known(
        R.RECIPIENT,
        "not in the allowed list of a test number",
        _l("A test number writes only to numbers on its list: add this one at Meta."),
    ),
    131031: Known(
        R.STOP, "account locked", _l("Meta has locked the account: see why in the Meta account.")
    ),
    131037: Known(
        R.STOP,
        "display name not approved",
        _l("Meta hasn't approved the name of our number yet: see it in the Meta account."),
    ),
    131042: Known(
        R.STOP,
        "payment problem",
        _l("Meta refuses to send because of a payment problem: settle it in the Meta account."),
    ),
    131045: Known(R.STOP, "number registration problem"),
    131047: Known(
        R.MESSAGE,
        "service window closed",
        _l(
            "More than 24 hours have passed since this person's last message: "
            "only a message template can be sent."
        ),
    ),
    131048: Known(
        R.STOP,
        "spam rate limit",
        _l("Meta limits our number because people reported it: wait hours, then send less."),
    ),
    131049: Known(
        R.DEFER,
        "Meta chose not to deliver",
        _l(
            "Meta chose not to deliver it, so that this person doesn't get too much marketing: "
            "try again after a day."
        ),
    ),
    131050: Known(
        R.RECIPIENT,
        "user stopped marketing",
        _l("This person has stopped marketing messages from us in WhatsApp: send no more."),
    ),
    131051: Known(
        R.MESSAGE, "kind not supported", _l("WhatsApp doesn't take this kind of message.")
    ),
    131052: Known(R.MESSAGE, "media of the user not downloaded"),
    131053: Known(
        R.MESSAGE,
        "media not uploaded",
        _l("The file couldn't be sent: WhatsApp doesn't take its kind or size."),
    ),
    131055: Known(R.MESSAGE, "method not allowed"),
    131056: Known(R.PAIR, "too many to this user"),
    131057: Known(R.RETRY, "account in maintenance"),
    131059: Known(R.RETRY, "cursor of a listing expired"),
    131060: Known(R.MESSAGE, "message unavailable"),
    131062: Known(
        R.RECIPIENT,
        "needs a phone number, not a user id",
        _l("This message needs a phone number, which this person hides: ask them to share it."),
    ),
    131063: Known(R.STOP, "marketing not enabled here"),
    131064: Known(R.STOP, "limited for template misclassification"),
    132000: Known(
        R.TEMPLATE,
        "number of parameters differs",
        _l("The template wants another number of values than it was given: sync the templates."),
    ),
    132001: Known(
        R.TEMPLATE,
        "template missing or not approved",
        _l("The template doesn't exist at Meta in this language, or isn't approved."),
    ),
    132005: Known(
        R.MESSAGE,
        "filled text too long",
        _l("The filled-in text is longer than WhatsApp allows: shorten the values."),
    ),
    132007: Known(R.TEMPLATE, "template breaks policy"),
    132008: Known(R.MESSAGE, "parameter values wrong"),
    132012: Known(
        R.MESSAGE,
        "parameter format mismatch",
        _l("A value doesn't fit its place in the template: correct it in the contact."),
    ),
    132015: Known(
        R.TEMPLATE,
        "template paused",
        _l(
            "Meta has paused the template because of complaints about it: "
            "it comes back after some hours."
        ),
    ),
    132016: Known(
        R.TEMPLATE,
        "template disabled",
        _l("Meta has disabled the template for good: use another one."),
    ),
    132018: Known(R.MESSAGE, "template parameter problem"),
    132068: Known(R.TEMPLATE, "flow blocked"),
    132069: Known(R.TEMPLATE, "flow throttled"),
    133000: Known(R.STOP, "earlier deregistration failed"),
    133004: Known(R.RETRY, "server unavailable"),
    133005: Known(R.STOP, "two-step PIN wrong"),
    133006: Known(R.STOP, "number must be verified first"),
    133008: Known(R.STOP, "too many PIN guesses"),
    133009: Known(R.STOP, "PIN guessed too fast"),
    133010: Known(
        R.STOP,
        "number not registered",
        _l("Our number isn't registered at Meta any more: register it in the Meta account."),
    ),
    133015: Known(R.STOP, "number deleted recently"),
    133016: Known(R.STOP, "registered too often"),
    134011: Known(R.STOP, "payments terms not accepted"),
    134100: Known(R.MESSAGE, "only marketing allowed here"),
    134101: Known(R.RETRY, "template still syncing"),
    134102: Known(R.RETRY, "template unavailable"),
    135000: Known(R.MESSAGE, "generic user error"),
    136024: Known(R.STOP, "registration code not sent"),
    136025: Known(R.STOP, "registration code not verified"),
    137000: Known(
        R.RECIPIENT,
        "identity hash mismatch",
        _l("This person's security code has changed: make sure who they are first."),
    ),
}
REACTIONS: dict[int, Reaction] = {code: known.reaction for code, known in CODES.items()}

SENTENCE_OF_REACTION: dict[Reaction, LazyString] = {
    R.RETRY: _l(
        "WhatsApp had a passing failure and still didn't take it after several attempts: "
        "send it again later."
    ),
    R.SLOW: _l("WhatsApp asked us to slow down: it is sent again by itself."),
    R.PAIR: _l("Too many messages to this person in a short time: wait a little."),
    R.RECIPIENT: _l("WhatsApp doesn't deliver to this person: reach them another way."),
    R.MESSAGE: _l("WhatsApp refused this message as it is: change it before sending it again."),
    R.TEMPLATE: _l("WhatsApp refuses this template: look at it in the Meta account."),
    R.STOP: _l("Meta has limited our account or number: look at the Meta account."),
    R.TOKEN: _l("Meta no longer accepts our access: an administrator must renew the token."),
    R.DEFER: _l("Meta chose not to deliver it now: try again after a day."),
}


def reaction_to(code: int, status: int = 400) -> Reaction:
    """What to do about `code`; for one that is not in the table the HTTP status is the hint."""
    known = CODES.get(code)
    if known is not None:
        return known.reaction
    if 200 <= code <= 299:  # permission not granted or removed
        return Reaction.TOKEN
    if status == 429:
        return Reaction.SLOW
    return Reaction.RETRY if status >= 500 else Reaction.MESSAGE


def action_on(code: int) -> str:
    """What Prosa does about a code, for the documentation."""
    return ACTIONS_OF_CODE.get(code) or ACTIONS[reaction_to(code)]


def explain(code: int | None) -> str:
    """What an error means for people and what they can do, in the reader's language."""
    if code is None:
        return str(_l("It was refused without a reason."))
    known = CODES.get(code)
    return str((known and known.sentence) or SENTENCE_OF_REACTION[reaction_to(code)])
