"""State of the simulated platform, without HTTP."""

from typing import NamedTuple

from chatbot.simulator.clock import Clock
from chatbot.simulator.config import Config
from chatbot.simulator.errors import GraphError, get_error_details
from chatbot.simulator.faults.outcomes import UNDELIVERABLE_CODE, OutcomeScripts
from chatbot.simulator.faults.random_draws import RandomDraws
from chatbot.simulator.identifiers import make_wamid
from chatbot.simulator.media.store import FileStore
from chatbot.simulator.message_templates.store import (
    MessageTemplate,
    TemplateCategory,
    TemplateStore,
)
from chatbot.simulator.messages.schema import Message, OutboundKind
from chatbot.simulator.platform.rate_limits import RateLimits
from chatbot.simulator.platform.request_log import RequestLog
from chatbot.simulator.platform.threads import InboundState, Threads
from chatbot.simulator.platform.update_scheduler import (
    AcceptedMessage,
    InboundUpdate,
    ScheduledStatus,
    UpdateScheduler,
    WebhookUpdate,
)
from chatbot.simulator.platform.whatsapp_users import NUMBER_VISIBLE_S, WhatsAppUser, WhatsAppUsers
from chatbot.simulator.settings import Settings
from chatbot.simulator.webhooks.payloads import PayloadRenderer, Status, StatusName, make_status
from chatbot.simulator.webhooks.sender import WebhookSender

OUTSIDE_WINDOW = 131047
RESTRICTED, LOCKED = 368, 131031  # refuses templates; refuses every message


class Acceptance(NamedTuple):
    """Result for an accepted message: its id, and whether it is held for quality assessment."""

    wamid: str
    is_held: bool


class Simulator:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = config.settings
        self.clock = Clock()
        self.payloads = PayloadRenderer(config.business_account_id, config.phone_number_id)
        self.webhook_sender = WebhookSender(
            config.callback_url, config.app_secret, config.verify_token, self.settings
        )
        self.scheduler = UpdateScheduler(self.settings, self.clock, self._publish)
        self._init_state()

    @property
    def pending(self) -> int:
        """Count the scheduled updates and the webhooks that are not acknowledged yet."""
        return self.scheduler.pending + self.webhook_sender.pending

    def apply_settings(self, settings: Settings) -> None:
        self.settings = self.webhook_sender.settings = self.scheduler.settings = settings
        self.webhook_sender.start_ready()

    def reset(self, *, keep_settings: bool) -> None:
        self.threads.wake_all()
        self.scheduler.clear()
        self.clock.offset_s = 0.0
        if not keep_settings:
            self.apply_settings(self.config.settings)
        self.webhook_sender.clear()
        self._init_state()

    def advance(self, seconds: float) -> None:
        """Set the clock forward and publish at once the updates that became due."""
        self.clock.advance(seconds)
        self.scheduler.restart_timer()

    def accept_message(
        self,
        message: Message,
        raw: bytes,
        user: WhatsAppUser,
        template: MessageTemplate | None,
        *,
        failure: int,
        draws: RandomDraws,
    ) -> Acceptance:
        """Accept a message, as Meta's 200 does, and schedule its statuses."""
        now = self.clock.now()
        failure = failure or self._find_failure_code(message, user, template)
        is_held = template is not None and draws.held < self.settings.held_share
        if is_held and draws.variant < self.settings.held_dropped:
            failure = failure or 132015
        if message.to is not None:
            user.number_visible_until = now + NUMBER_VISIBLE_S
        wamid = make_wamid(user.key)
        callback = message.biz_opaque_callback_data or ""
        self.threads.add_outbound(user.key, wamid, raw, callback, now)
        self.scheduler.schedule_statuses(
            AcceptedMessage(
                wamid,
                user,
                callback=callback,
                category=template.category.lower() if template else "service",
                by_user_id=message.to is None,
                failure=failure,
                is_reaction=message.type is OutboundKind.REACTION,
                held_s=self.settings.held_s if is_held else 0.0,
            ),
            draws,
        )
        return Acceptance(wamid, is_held)

    def check_restriction(self, template: MessageTemplate | None) -> None:
        """Raise GraphError if the account is locked, or restricted and a template is sent."""
        code = self.restriction_code
        if code and (template is not None or code != RESTRICTED):
            raise GraphError(code, get_error_details(code))

    def check_window_and_limits(self, user: WhatsAppUser, template: MessageTemplate | None) -> None:
        is_open = self.is_window_open(user)
        settings = self.settings
        if template is None and settings.service_window and settings.sync_131047 and not is_open:
            raise GraphError(OUTSIDE_WINDOW, get_error_details(OUTSIDE_WINDOW))
        is_business_initiated = template is not None and not is_open
        self.limits.check_send(
            self.settings, user.key, self.clock.now(), is_business_initiated=is_business_initiated
        )

    def is_window_open(self, user: WhatsAppUser) -> bool:
        opened_at = self.threads.thread(user.key).last_inbound_at
        return self.clock.now() - opened_at < self.settings.service_window_s

    def send_as_customer(
        self, number: str, name: str, content: dict[str, object], *, wamid: str, at: float
    ) -> tuple[str, str]:
        """Record and publish a customer's message; return (wamid, key of the user).

        It opens the 24-hour customer service window.
        """
        user, chats = self.users.get_by_number_or_id(number, self.settings), self.threads
        wamid = wamid or make_wamid(user.key)
        message = {
            **self.render_sender(user),
            "id": wamid,
            "timestamp": str(int(at)),
            **content,
        }
        self.limits.count_inbound(self.settings, self.clock.now())
        chats.add_inbound(user.key, wamid, message, name=name, at=at)
        self.publish_inbound(
            InboundUpdate(
                message,
                self.render_contact(user, name),
                lambda: chats.mark_inbound(wamid, InboundState.DELIVERED),
            )
        )
        return wamid, user.key

    def publish_inbound(self, inbound: InboundUpdate) -> None:
        """Publish an inbound message at once, or with a delay and together with statuses."""
        settings = self.settings
        if settings.mix_inbound or settings.inbound_delay_ms:
            self.scheduler.schedule(inbound, settings.inbound_delay_ms / 1000)
        else:
            self._publish([inbound])

    def render_sender(self, user: WhatsAppUser) -> dict[str, object]:
        """Return the sender fields of a message, without `from` if the number is hidden."""
        if self._hides_number(user):
            return {"from_user_id": user.user_id}
        return {"from": user.wa_id, "from_user_id": user.user_id}

    def render_contact(self, user: WhatsAppUser, name: str) -> dict[str, object]:
        if self._hides_number(user):
            profile = {"name": name, "username": user.username}
            return {"profile": profile, "user_id": user.user_id}
        return {"profile": {"name": name}, "wa_id": user.wa_id, "user_id": user.user_id}

    def mark_read_by_customer(self, user: WhatsAppUser) -> int:
        """Publish `read` for every delivered message of the user; return how many."""
        now = self.clock.now()
        scheduled: list[WebhookUpdate] = [
            ScheduledStatus(
                AcceptedMessage(message.id, user, message.callback, category=""),
                StatusName.READ,
                now,
                priced=False,
            )
            for message in self.threads.list_unread(user.key)
        ]
        if scheduled and self.settings.statuses:
            self._publish(scheduled)
        return len(scheduled)

    def _init_state(self) -> None:
        self.templates = TemplateStore()
        self.log = RequestLog()
        self.threads = Threads()
        self.limits = RateLimits()
        self.users = WhatsAppUsers()
        self.files = FileStore(self.clock)
        self.scripts = OutcomeScripts()
        self.restriction_code = 0  # error code while the account is restricted or locked
        self.marketing_opt_outs: set[str] = set()

    def _hides_number(self, user: WhatsAppUser) -> bool:
        return self.users.hides_number(user, self.settings, self.clock.now())

    def _find_failure_code(
        self, message: Message, user: WhatsAppUser, template: MessageTemplate | None
    ) -> int:
        """Return the error code with which the accepted message will fail, or 0."""
        if user.is_unregistered:
            return UNDELIVERABLE_CODE
        if template is None:
            if self.settings.service_window and not self.is_window_open(user):
                return OUTSIDE_WINDOW
        elif (
            template.category is TemplateCategory.MARKETING and user.key in self.marketing_opt_outs
        ):
            return 131050
        if self.files.has_bad_media(message):
            return 131053
        if message.reaction and not self.threads.has_message(message.reaction.message_id):
            return 131009
        return 0

    def _publish(self, batch: list[WebhookUpdate]) -> None:
        statuses: list[Status] = []
        inbound: list[InboundUpdate] = []
        usernames: dict[str, str] = {}
        for update in batch:
            if isinstance(update, InboundUpdate):
                inbound.append(update)
            else:
                statuses.append(self._make_status(update, usernames))
        self.webhook_sender.submit(
            self.payloads.render_updates(
                statuses,
                usernames,
                [(item.message, item.contact) for item in inbound],
                failed_contacts=self.settings.failed_contacts,
            ),
            lambda: _notify_delivered(inbound),
        )

    def _make_status(self, scheduled: ScheduledStatus, usernames: dict[str, str]) -> Status:
        message, user = scheduled.message, scheduled.message.user
        self.threads.mark_outbound(message.wamid, scheduled.name, message.failure)
        is_hidden = self._hides_number(user)
        if is_hidden:
            usernames[user.user_id] = user.username
        return make_status(
            scheduled.name,
            wamid=message.wamid,
            wa_id="" if message.by_user_id and is_hidden else user.wa_id,
            user_id="" if message.failure and not message.by_user_id else user.user_id,
            at=scheduled.at,
            callback=message.callback,
            category=message.category if scheduled.priced else "",
            code=message.failure,
        )


def _notify_delivered(inbound: list[InboundUpdate]) -> None:
    for item in inbound:
        item.on_delivered()
