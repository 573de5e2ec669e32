"""What a company changes about Prosa itself: its profile, sending hours, pace and language."""
