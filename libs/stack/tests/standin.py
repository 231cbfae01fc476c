"""A stand-in for each service in the stack's tests: returns its environment for every GET, and exits on SIGTERM.

A test installs it as the modules gateway, messages, presence, media and integrations in a folder on PYTHONPATH.
"""

import http.server
import json
import os
import signal
import sys
from typing import Any


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def main() -> None:
    sys.stdout.write(f"{os.environ['HUBBUB_INSTANCE']} started\n")
    sys.stdout.flush()
    if sys.argv[1:] == ["migrate"]:
        return
    host, port = (os.environ.get("HUBBUB_OPS_LISTEN") or os.environ["HUBBUB_LISTEN"]).split(":")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.ThreadingHTTPServer((host, int(port)), _Handler).serve_forever()


main()
