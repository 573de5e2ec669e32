"""Simulator process: start, refusal to start, load and end."""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest

from .conftest import PHONE, TOKEN, Client, Receiver, free_port, start


def finish(process: subprocess.Popen[str]) -> tuple[str, int]:
    _, errors = process.communicate(timeout=10)
    return errors, process.returncode


@pytest.mark.parametrize(
    "variable",
    ["WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "SIMULATOR_CALLBACK_URL"],
)
def test_a_missing_setting_is_named_and_ends_the_process(variable: str) -> None:
    errors, status = finish(start(**{variable: ""}))
    assert status == 1
    assert f"{variable} is not set" in errors
    assert "Traceback" not in errors


def test_a_wrong_port_is_named() -> None:
    errors, status = finish(start(SIMULATOR_PORT="porta"))
    assert (status, "SIMULATOR_PORT" in errors) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_even_with_open_requests(
    number: signal.Signals, tmp_path: Path
) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"name": "Zé", "number": "5511900000000"}]))
    port = free_port()
    process = start(SIMULATOR_PORT=str(port), SIMULATOR_CUSTOMERS=str(people))
    assert process.stdout
    process.stdout.readline()
    assert Client(port).control("/customers").json == [{"name": "Zé", "number": "5511900000000"}]

    async def hold_a_poll_open() -> float:
        async with aiohttp.ClientSession() as http:
            poll = asyncio.create_task(
                http.get(f"http://127.0.0.1:{port}/_sim/chat/5511900000000?wait=20")
            )
            await asyncio.sleep(0.3)
            started = time.monotonic()
            process.send_signal(number)
            await asyncio.to_thread(process.wait, 30)
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
            return time.monotonic() - started

    assert asyncio.run(hold_a_poll_open()) < 10
    assert finish(process)[1] == 0


def test_each_of_2000_messages_gets_each_status_once(simulator: Client, receiver: Receiver) -> None:
    simulator.settings(service_window=False, magic_recipients=False, batch_size=200)

    async def send_all() -> list[str]:
        url = f"http://127.0.0.1:{simulator.port}/v25.0/{PHONE}/messages"
        gate = asyncio.Semaphore(32)
        headers = {"Authorization": f"Bearer {TOKEN}"}

        async def send(http: aiohttp.ClientSession, number: int) -> str:
            body = {"messaging_product": "whatsapp", "to": f"5511{number}", "text": {"body": "Oi"}}
            async with gate, http.post(url, json=body) as answer:
                return str((await answer.json())["messages"][0]["id"])

        async with aiohttp.ClientSession(headers=headers) as http:
            return await asyncio.gather(*(send(http, 900_000_000 + n) for n in range(2000)))

    wamids = asyncio.run(send_all())
    simulator.wait_until_idle()
    reported = sorted((status["id"], status["status"]) for status in receiver.statuses())
    assert reported == sorted((w, s) for w in wamids for s in ("sent", "delivered", "read"))
    assert simulator.summary()["max_per_recipient"] == 1
