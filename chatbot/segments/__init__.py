"""Saved filters over contacts, their invoices and conversations, compiled to one select."""
