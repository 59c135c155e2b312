"""A process that is small enough for every test: ready at once, says who it is, dies when it is asked to."""

from __future__ import annotations

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.environ["TICKETKIT_SMALL_NAME"]


class Handler(BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/crash"):
            sys.stderr.write("something is wrong\nthe last words\n")
            sys.stderr.flush()
            os._exit(3)
        body = f"{NAME} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - named by the class above

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    if os.environ.get("TICKETKIT_SMALL_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.environ.get("TICKETKIT_SMALL_BROKEN"):
        sys.exit("the setting is wrong")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    sys.stdout.write(f"{NAME} is on http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
