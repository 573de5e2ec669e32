"""Periodic tasks as one table: deleting a line removes the task in production too."""

from __future__ import annotations

# task → interval in seconds at which it is enqueued if it has work
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
# task → interval in seconds at which the scheduler runs it itself: an alert that workers are missing must
# not wait for a worker. (Workers run it too when they poll, in case the scheduler is missing.)
RUN_IN_SCHEDULER_EVERY_S: dict[str, float] = {
    "ops.check_alerts": 1,
}
