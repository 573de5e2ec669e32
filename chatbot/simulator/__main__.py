"""`python -m chatbot.simulator`: serve until SIGTERM or SIGINT."""

import asyncio
import gc
import os
import signal
import sys

from aiohttp import web

from chatbot.simulator.app import create_app
from chatbot.simulator.config import Config, ConfigError, parse_config
from chatbot.simulator.simulator import Simulator

BACKLOG = 4096
SHUTDOWN_TIMEOUT_S = 0.5  # then hanging requests and long polls are cut off


async def serve(config: Config) -> None:
    runner = web.AppRunner(
        create_app(Simulator(config)), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S
    )
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await web.TCPSite(runner, config.host, config.port, backlog=BACKLOG).start()
        print(
            f"Simulador da Cloud API em http://{config.host}:{config.port} "
            f"(webhooks para {config.callback_url})",
            flush=True,
        )
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    try:
        config = parse_config(sys.argv[1:], os.environ)
        # Hundreds of thousands of logged messages stay alive: scanning them often is wasted time.
        gc.set_threshold(50_000, 50, 1_000)
        asyncio.run(serve(config))
    except (ConfigError, OSError) as error:
        sys.exit(f"simulator: {error}")


if __name__ == "__main__":
    main()
