"""Guess passwords from several processes at once.

`python -m tests.accounts.password_guesser TIMES EMAIL@ADDRESS...`
"""

from __future__ import annotations

import os
import sys

from argon2 import PasswordHasher
from flask import Flask

import config
from chatbot import create_app
from chatbot.accounts import passwords


def guess_passwords(app: Flask, email: str, address: str, times: int) -> None:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    for number in range(times):
        answer = client.post("/login", data={"email": email, "password": f"guess {number}"})
        os.write(1, f"{answer.status_code}\n".encode())


def main(times: int, guesses: list[str]) -> None:
    app = create_app(config.load())
    # Hashing is not tested here, and faster attempts overlap more.
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64)
    app.config["WTF_CSRF_ENABLED"] = False
    waiting, starting_gun = os.pipe()
    children = []
    for who in guesses:
        email, _, address = who.rpartition("@")
        child = os.fork()
        if child == 0:
            os.close(starting_gun)
            os.read(waiting, 1)
            guess_passwords(app, email, address, times)
            os._exit(0)
        children.append(child)
    os.close(starting_gun)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
