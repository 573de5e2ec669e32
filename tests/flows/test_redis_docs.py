"""What docs/redis.md tells people to type is typed here, in its order."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import ROOT
from tests.flows.conftest import StackMaker
from tests.support.ports import free_port, wait_for
from tests.support.stack import QUEUES, Stack

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli here"),
]

ANA = "5511987699999"
PASSWORDS = {"REDIS_URL": "prosa:other-random-words", "ADMIN": "default:long-random-words"}


def find_runnable_blocks(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```sh runnable\n(.*?)^```$", text, re.M | re.S)


class Reader:
    """Somebody who types what he reads: what one block exports the next one knows."""

    def __init__(self, home: Path, redis_port: int) -> None:
        self._home, self.redis_port = home, redis_port
        self.web_port = 8000
        (home / "exported").touch()

    def run_block(self, block: str) -> str:
        block = block.replace("6379", str(self.redis_port)).replace("8000", str(self.web_port))
        done = subprocess.run(
            ["bash", "-c", f". ./exported\nset -euo pipefail\n{block}\nexport -p > exported"],
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def url(self, name: str) -> str:
        return f"redis://{PASSWORDS[name]}@127.0.0.1:{self.redis_port}/0"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    home = tmp_path / "reader"
    home.mkdir()
    made = Reader(home, free_port())
    yield made
    subprocess.run(  # where the test ended before the page did
        ["redis-cli", "-u", made.url("ADMIN"), "--no-auth-warning", "SHUTDOWN", "NOSAVE"],
        capture_output=True,
        check=False,
    )


def test_both_languages_say_the_same_commands() -> None:
    assert find_runnable_blocks("redis.md") == find_runnable_blocks("redis.pt-BR.md")
    assert len(find_runnable_blocks("redis.md")) == 9


def test_every_command_of_the_page_works(make_stack: StackMaker, reader: Reader) -> None:
    install, user, ping, health, *rest = find_runnable_blocks("redis.md")
    reader.run_block(install)
    wait_for(lambda: is_up(reader))
    assert "OK" in reader.run_block(user)
    assert "PONG" in reader.run_block(ping)
    with_redis, without = (
        make_stack(reader.url("REDIS_URL"), REDIS_ENABLED=switch) for switch in ("true", "false")
    )
    assert status_of(without.start("web", "simulator")) == "degraded"
    without.stop()
    with_redis.start("simulator", "web", *QUEUES, "scheduler")
    wait_for(lambda: status_of(with_redis) == "healthy", 30)
    reader.web_port = with_redis.port
    assert json.loads(reader.run_block(health))["checks"]["redis"] is True
    works_for_its_own_user(with_redis)
    told = "".join(reader.run_block(block) for block in rest[:-1])
    for expected in ("aof_enabled:1", "maxmemory_policy:volatile-ttl", "Biggest"):
        assert expected in told
    with_redis.stop()
    reader.run_block(rest[-1])
    assert not is_up(reader)


def works_for_its_own_user(stack: Stack) -> None:
    """The rights that the page gives are enough for pages, bot and RQ."""
    stack.flask("demo", "load")
    stack.send_as_customer(ANA, "oi")
    wait_for(lambda: stack.replies_to(ANA), 30)
    log = (stack.home / "stack.log").read_text()
    assert "NOPERM" not in log
    assert "no permissions" not in log


def status_of(stack: Stack) -> str:
    with urllib.request.urlopen(f"{stack.address}/health", timeout=10) as answer:
        return str(json.load(answer)["status"])


def is_up(reader: Reader) -> bool:
    done = subprocess.run(
        ["redis-cli", "-u", reader.url("ADMIN"), "--no-auth-warning", "PING"],
        capture_output=True,
        check=False,
    )
    return b"PONG" in done.stdout
