"""Intents of customers."""

from __future__ import annotations

from enum import StrEnum


class Intent(StrEnum):
    """Intent of a message. Values are stored and stand in the training file: never rename one."""

    ADDRESS_LOCATION = "address_location"
    BALANCE_DUE = "balance_due"
    BUSINESS_HOURS = "business_hours"
    CANCEL_SERVICE = "cancel_service"
    COMPLAINT = "complaint"
    DUE_DATE = "due_date"
    FALLBACK = "fallback"
    GOODBYE = "goodbye"
    GREETING = "greeting"
    INVOICE_COPY = "invoice_copy"
    KEEP_CONSENT = "keep_consent"  # by a button alone: nothing changes
    OPT_IN = "opt_in"  # by rules alone: the classifier must not guess consent
    OPT_OUT = "opt_out"
    PAYMENT_DONE = "payment_done"
    PIX_PAYMENT = "pix_payment"
    PLAN_UPGRADE = "plan_upgrade"
    TALK_TO_HUMAN = "talk_to_human"
    TECHNICAL_SUPPORT = "technical_support"
    THANKS = "thanks"
    UNBLOCK_TRUST = "unblock_trust"
