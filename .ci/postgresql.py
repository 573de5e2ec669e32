"""Print the address of a test database of our own, where a PostgreSQL on 127.0.0.1:5432 lets us in."""

from __future__ import annotations

import psycopg

NAME = "prosa_test"

for user in ("postgres", "root"):
    try:
        with psycopg.connect(
            host="127.0.0.1", user=user, dbname="postgres", connect_timeout=3, autocommit=True
        ) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
            if found.fetchone() is None:
                connection.execute(f"CREATE DATABASE {NAME}")  # type: ignore[arg-type]
        print(f"postgresql://{user}@127.0.0.1/{NAME}")
        break
    except psycopg.Error:
        continue
