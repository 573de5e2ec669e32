"""Settings that can be changed while the simulator runs, as one validated struct."""

from typing import Annotated

import msgspec
from msgspec import Meta

from chatbot.simulator.errors import ERROR_CODES

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=86_400 * 30)]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]

# A request meets at most one of these faults, so their shares may add up to 1 at most.
EXCLUSIVE_FAULTS = (
    "reset_before_accept",
    "http_500_before",
    "html_502_before",
    "http_429",
    "hang_before_accept",
    "reset_after_accept",
    "http_500_after",
    "unreadable_200",
    "hang_after_accept",
)
RANGES = (("sent_min_s", "sent_max_s"), ("delivered_min_s", "delivered_max_s"),
          ("read_min_s", "read_max_s"))  # fmt: skip


class SettingsError(Exception):
    """Raised for a refused setting; the text names the field."""


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Settings: durations end in `_s` or `_ms`, shares go from 0 to 1, a limit of 0 is off."""

    seed: int = 1

    # Status webhooks. Delays count from the moment when the message was accepted.
    statuses: bool = True
    sent_min_s: Seconds = 0.05
    sent_max_s: Seconds = 0.3
    delivered_min_s: Seconds = 0.3
    delivered_max_s: Seconds = 1.0
    read_min_s: Seconds = 1.0
    read_max_s: Seconds = 3.0
    read_share: Share = 0.6
    status_delay_ms: Milliseconds = 0
    skip_delivered: Share = 0.0
    duplicate_status: Share = 0.0
    shuffle_status: Share = 0.0
    undeliverable: Share = 0.0  # of the users: accepted, then `failed` with 131026
    failed: Share = 0.0  # of the messages: accepted, then `failed` with this code
    failed_code: int = 131049
    # Meta documents a failed status without `contacts`, but pywa cannot read one without it.
    failed_contacts: bool = True

    # Delivery of webhooks. Meta retries with growing gaps for up to 7 days; times are shorter here.
    webhook_outage: bool = False
    verify_first: bool = False  # deliver nothing before the verification GET has succeeded once
    duplicate_webhook: Share = 0.0  # of the POSTs: a second one with the same bytes at once
    mix_inbound: bool = False  # inbound messages wait for statuses and share their POSTs
    inbound_delay_ms: Milliseconds = 0
    batch_window_ms: Milliseconds = 30
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = 50  # Meta sends up to 1,000
    webhook_concurrency: Annotated[int, Meta(ge=1, le=64)] = 8
    webhook_timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    retry_first_s: Annotated[float, Meta(gt=0, le=60)] = 0.2
    retry_max_s: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    retry_give_up_s: Seconds = 3600.0

    # Rules of Meta that can be switched off. Sources: Meta's pages on throughput and messaging
    # limits, on business-scoped user ids (hidden numbers), template pacing (held) and media.
    service_window: bool = True
    service_window_s: Seconds = 86_400.0
    sync_131047: bool = False  # refuse outside the window at once, not by a `failed` status
    throughput_per_s: Count = 0  # Meta's default is 80, inbound and outbound together
    tier_limit: Count = 0  # users reached outside the window in 24 hours; 0 is unlimited
    pair_limit: bool = False
    pair_interval_s: Annotated[float, Meta(gt=0, le=3600)] = 6.0  # Meta: 1 message per 6 s,
    pair_burst: Annotated[int, Meta(ge=1, le=1000)] = 45  # with a burst of 45
    ninth_digit_share: Share = 0.9  # of the numbers with area code 31 or above: wa_id lacks the 9
    hidden_share: Share = 0.0  # of the users: a username and no phone number
    held_share: Share = 0.0  # of the template messages: held for quality assessment
    held_s: Seconds = 5.0
    held_dropped: Share = 0.0  # of the held messages: finally `failed` with 132015
    review_s: Seconds = 1.0  # a new template is PENDING for this long
    review_rejected: Share = 0.0
    media_url_s: Seconds = 300.0  # Meta: a download URL is valid for 5 minutes
    media_expires_s: Seconds = 30 * 86_400.0
    wrong_sha256: bool = False  # report a hash that does not match the file
    management_calls_per_h: Count = 5_000  # above it 80007; 0 is unlimited
    # Off by default: a real list may contain numbers that end like a magic one.
    magic_recipients: bool = False

    # Faults, as shares of the POSTs to /messages.
    reset_before_accept: Share = 0.0
    http_500_before: Share = 0.0
    html_502_before: Share = 0.0
    http_429: Share = 0.0  # JSON, HTML or empty, with and without `Retry-After`
    hang_before_accept: Share = 0.0  # no answer, and the message was not accepted
    refused: Share = 0.0  # with this code, in the shape of the Graph API
    refused_code: int = 131000
    reset_after_accept: Share = 0.0
    http_500_after: Share = 0.0  # accepted, but the edge proxy answers an HTML 502
    unreadable_200: Share = 0.0  # accepted; the answer is truncated, HTML or empty
    hang_after_accept: Share = 0.0
    hang_s: Seconds = 120.0
    latency_ms: Milliseconds = 0
    latency_jitter_ms: Milliseconds = 0

    log_limit: Annotated[int, Meta(ge=1000, le=5_000_000)] = 300_000

    def __post_init__(self) -> None:
        for low, high in RANGES:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"`{low}` is above `{high}`")
        for name in ("refused_code", "failed_code"):
            if getattr(self, name) not in ERROR_CODES:
                raise ValueError(f"`{name}` is no error code that the simulator knows")
        total = sum(getattr(self, name) for name in EXCLUSIVE_FAULTS)
        if total > 1 + 1e-9:
            names = ", ".join(EXCLUSIVE_FAULTS)
            raise ValueError(f"the shares of {names} add up to more than 1")


def apply_changes(current: Settings, body: bytes) -> Settings:
    """Return the settings with the fields of a JSON object replaced.

    One bad field refuses the whole change with SettingsError.
    """
    try:
        change = msgspec.json.decode(body, type=dict[str, object])
        merged = {**msgspec.structs.asdict(current), **change}
        return msgspec.convert(merged, type=Settings)
    except msgspec.DecodeError as error:
        raise SettingsError(str(error)) from error
