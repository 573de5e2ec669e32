"""Send table of campaign recipients, for `chatbot.delivery`."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from chatbot.campaigns.models import Recipient
from chatbot.campaigns.sending.side_effects import RecipientSideEffects
from chatbot.core.db.bulk_sql import id_list
from chatbot.delivery.send_table import SendTable

SEND_TABLE = SendTable("r", Recipient.__table__, side_effects=RecipientSideEffects())  # type: ignore[arg-type]


def list_campaign_ids(connection: sa.Connection, row_ids: Iterable[int]) -> set[int]:
    """Return the campaigns of these recipients."""
    query = sa.select(Recipient.campaign_id).where(Recipient.id.in_(id_list(connection, row_ids)))
    return set(connection.scalars(query.distinct()))
