"""Settings that a company changes itself: its profile, sending hours, pace and language."""
