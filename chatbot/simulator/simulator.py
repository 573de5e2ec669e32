"""The simulated platform: all state of one process, without anything of HTTP."""

from typing import NamedTuple

from chatbot.simulator.chats import Chats, InboundState
from chatbot.simulator.clock import Clock
from chatbot.simulator.config import Config
from chatbot.simulator.delivery import Delivery
from chatbot.simulator.errors import GraphError, details_of
from chatbot.simulator.fates import Draws
from chatbot.simulator.faults import UNDELIVERABLE, Scripts
from chatbot.simulator.identity import make_wamid
from chatbot.simulator.limits import Limits
from chatbot.simulator.log import SendLog
from chatbot.simulator.media import Files
from chatbot.simulator.messages import Kind, Message
from chatbot.simulator.outbox import Accepted, Outbox, Planned, Update, Written
from chatbot.simulator.payloads import Envelopes, Status, StatusName, make_status
from chatbot.simulator.people import REVEALED_S, People, Person
from chatbot.simulator.settings import Settings
from chatbot.simulator.templates import Category, Template, Templates

OUTSIDE_WINDOW = 131047
RESTRICTED, LOCKED = 368, 131031  # templates outside a window; everything


class Taken(NamedTuple):
    """What came of a message that was accepted."""

    wamid: str
    is_held: bool


class Simulator:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = config.settings
        self.clock = Clock()
        self.envelopes = Envelopes(config.business_account_id, config.phone_number_id)
        self.delivery = Delivery(
            config.callback_url, config.app_secret, config.verify_token, self.settings
        )
        self.outbox = Outbox(self.settings, self.clock, self._publish)
        self._begin()

    @property
    def pending(self) -> int:
        """Statuses not told yet and webhooks not acknowledged yet; 0 is silence."""
        return self.outbox.pending + self.delivery.pending

    def apply(self, settings: Settings) -> None:
        self.settings = self.delivery.settings = self.outbox.settings = settings
        self.delivery.pump()

    def reset(self, *, keep_settings: bool) -> None:
        self.chats.release()
        self.outbox.clear()
        self.clock.offset_s = 0.0
        if not keep_settings:
            self.apply(self.config.settings)
        self.delivery.clear()
        self._begin()

    def advance(self, seconds: float) -> None:
        """Set the platform's clock forward; what became due by it is told at once."""
        self.clock.advance(seconds)
        self.outbox.rearm()

    def accept(
        self,
        message: Message,
        raw: bytes,
        person: Person,
        template: Template | None,
        *,
        failure: int,
        draws: Draws,
    ) -> Taken:
        """Take a message on, as Meta does with its 200."""
        now = self.clock.now()
        failure = failure or self._failure_of(message, person, template)
        is_held = template is not None and draws.held < self.settings.held_share
        if is_held and draws.variant < self.settings.held_dropped:
            failure = failure or 132015
        if message.to is not None:
            person.revealed_until = now + REVEALED_S
        wamid = make_wamid(person.key)
        callback = message.biz_opaque_callback_data or ""
        self.chats.add_outbound(person.key, wamid, raw, callback, now)
        self.outbox.plan(
            Accepted(
                wamid,
                person,
                callback=callback,
                category=template.category.lower() if template else "service",
                by_user_id=message.to is None,
                failure=failure,
                is_reaction=message.type is Kind.REACTION,
                held_s=self.settings.held_s if is_held else 0.0,
            ),
            draws,
        )
        return Taken(wamid, is_held)

    def check_standing(self, template: Template | None) -> None:
        """Raise what a restricted or locked account is answered."""
        code = self.standing
        if code and (template is not None or code != RESTRICTED):
            raise GraphError(code, details_of(code))

    def check_window_and_limits(self, person: Person, template: Template | None) -> None:
        is_open = self.window_is_open(person)
        settings = self.settings
        if template is None and settings.service_window and settings.sync_131047 and not is_open:
            raise GraphError(OUTSIDE_WINDOW, details_of(OUTSIDE_WINDOW))
        opens = template is not None and not is_open
        self.limits.check(self.settings, person.key, self.clock.now(), opens=opens)

    def window_is_open(self, person: Person) -> bool:
        opened_at = self.chats.thread(person.key).last_inbound_at
        return self.clock.now() - opened_at < self.settings.service_window_s

    def write_as_customer(
        self, number: str, name: str, content: dict[str, object], *, wamid: str, at: float
    ) -> tuple[str, str]:
        """A person writes to the business: (wamid, wa_id). Opens the service window (7.1)."""
        person, chats = self.people.dialled(number, self.settings), self.chats
        wamid = wamid or make_wamid(person.key)
        message = {
            **self.sender_of(person),
            "id": wamid,
            "timestamp": str(int(at)),
            **content,
        }
        self.limits.count_inbound(self.settings, self.clock.now())
        chats.add_inbound(person.key, wamid, message, name=name, at=at)
        self.tell(
            Written(
                message,
                self.contact_of(person, name),
                lambda: chats.mark_inbound(wamid, InboundState.DELIVERED),
            )
        )
        return wamid, person.key

    def tell(self, written: Written) -> None:
        """At once and alone, or late, or among the statuses: as the settings want it."""
        settings = self.settings
        if settings.mix_inbound or settings.inbound_delay_ms:
            self.outbox.add(written, settings.inbound_delay_ms / 1000)
        else:
            self._publish([written])

    def sender_of(self, person: Person) -> dict[str, object]:
        """Who a message is from: the number is left out when it is hidden (2.5)."""
        if self._hides_number(person):
            return {"from_user_id": person.user_id}
        return {"from": person.wa_id, "from_user_id": person.user_id}

    def contact_of(self, person: Person, name: str) -> dict[str, object]:
        if self._hides_number(person):
            profile = {"name": name, "username": person.username}
            return {"profile": profile, "user_id": person.user_id}
        return {"profile": {"name": name}, "wa_id": person.wa_id, "user_id": person.user_id}

    def read_as_customer(self, person: Person) -> int:
        """The person has the chat on screen: tell `read` for what was not read yet."""
        now = self.clock.now()
        planned: list[Update] = [
            Planned(
                Accepted(message.id, person, message.callback, category=""),
                StatusName.READ,
                now,
                priced=False,
            )
            for message in self.chats.unread(person.key)
        ]
        if planned and self.settings.statuses:
            self._publish(planned)
        return len(planned)

    def _begin(self) -> None:
        self.templates = Templates()
        self.log = SendLog()
        self.chats = Chats()
        self.limits = Limits()
        self.people = People()
        self.files = Files(self.clock)
        self.scripts = Scripts()
        self.standing = 0  # the code that a restricted account is answered with
        self.refuses_marketing: set[str] = set()

    def _hides_number(self, person: Person) -> bool:
        return self.people.hides_number(person, self.settings, self.clock.now())

    def _failure_of(self, message: Message, person: Person, template: Template | None) -> int:
        """Why an accepted message will never arrive, or 0."""
        if person.has_left:
            return UNDELIVERABLE
        if template is None:
            if self.settings.service_window and not self.window_is_open(person):
                return OUTSIDE_WINDOW
        elif template.category is Category.MARKETING and person.key in self.refuses_marketing:
            return 131050
        if self.files.problem_of(message):
            return 131053
        if message.reaction and not self.chats.knows(message.reaction.message_id):
            return 131009
        return 0

    def _publish(self, batch: list[Update]) -> None:
        statuses: list[Status] = []
        written: list[Written] = []
        usernames: dict[str, str] = {}
        for update in batch:
            if isinstance(update, Written):
                written.append(update)
            else:
                statuses.append(self._status_of(update, usernames))
        self.delivery.submit(
            self.envelopes.updates(
                statuses,
                usernames,
                [(item.message, item.contact) for item in written],
                failed_contacts=self.settings.failed_contacts,
            ),
            lambda: _tell_delivered(written),
        )

    def _status_of(self, planned: Planned, usernames: dict[str, str]) -> Status:
        message, person = planned.message, planned.message.person
        self.chats.mark_outbound(message.wamid, planned.name, message.failure)
        is_hidden = self._hides_number(person)
        if is_hidden:
            usernames[person.user_id] = person.username
        return make_status(
            planned.name,
            wamid=message.wamid,
            wa_id="" if message.by_user_id and is_hidden else person.wa_id,
            user_id="" if message.failure and not message.by_user_id else person.user_id,
            at=planned.at,
            callback=message.callback,
            category=message.category if planned.priced else "",
            code=message.failure,
        )


def _tell_delivered(written: list[Written]) -> None:
    for item in written:
        item.on_delivered()
