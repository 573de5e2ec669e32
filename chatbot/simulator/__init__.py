"""A fake of Meta's Cloud API that runs as its own process and knows nothing of the application.

It imports nothing else of `chatbot`: it would check us with our own mistakes otherwise.
Section numbers in this package are those of our Cloud API fact sheet.
"""
