"""Debian's nginx in front of a web process, configured by `deploy/nginx.conf`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.ports import free_port
from workers.parent_death import die_with_parent

ROOT = Path(__file__).parents[2]
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
FRAME = """
daemon off; master_process off; pid {home}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  {server}
}}
"""


class Nginx:
    def __init__(self, home: Path, upstream_port: int, *, buffers_requests: bool) -> None:
        assert PROGRAM is not None
        self.port = free_port()
        server = (ROOT / "deploy/nginx.conf").read_text()
        server = server.replace("127.0.0.1:8000", f"127.0.0.1:{upstream_port}")
        server = server.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        if not buffers_requests:
            server = server.replace("proxy_request_buffering on;", "proxy_request_buffering off;")
        (home / "nginx.conf").write_text(FRAME.format(home=home, server=server))
        with (home / "nginx.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf")],
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)
