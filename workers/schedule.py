"""Periodic work as one table: deleting a line removes it in production too."""

from __future__ import annotations

# bell → every how many seconds its work is looked for, and rung where there is any
ENQUEUE_EVERY_S: dict[str, float] = {
    "campaigns.send": 5,
    "campaigns.start_scheduled": 5,
    "campaigns.sweep": 5,
    "conversations.sweep": 5,
    "contacts.import": 5,
    "templates.sync": 60,
    "ops.delete_expired": 3600,
    "webhooks.delete_expired": 3600,
}
# bell → every how many seconds the scheduler does its work itself instead of ringing: what tells that
# workers are missing must not wait for one of them. (A worker does it as well, by its own looks: what
# tells that the scheduler is missing must not wait for that.)
RUN_IN_SCHEDULER_EVERY_S: dict[str, float] = {
    "ops.check_alerts": 1,
}
