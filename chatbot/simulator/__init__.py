"""Simulator of Meta's WhatsApp Cloud API. It runs as a process of its own.

It imports nothing else of `chatbot`. Shared code would share its mistakes, and no test would
find them. Facts of the API come from Meta's public pages (developers.facebook.com, WhatsApp
Business Platform) where no other source is named.
"""
