"""A web server on this machine that serves a picture well, badly, or only at the second time of asking."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOVED = {
    "moved": "/well/a.png",
    "moved_to_http": "http://192.0.2.1/a.png",
    "moved_to_file": "file:///etc/hostname",
    "circle": "/circle/a.png",
}


class PictureServer(ThreadingHTTPServer):
    """Serves `picture` under `/<behaviour>/<any name>`; `asked` counts the requests by behaviour."""

    daemon_threads = True

    def __init__(self, picture: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.picture, self.asked, self.released = picture, Counter(), threading.Event()

    def url(self, behaviour: str, name: str = "picture.png") -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/{name}"

    def handle_error(self, *_request) -> None:
        """A client that hangs up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """`well`, `wrong`, `cut`, `hang`, `long`, `endless`, `trickle`, `404`, `500`, `404_once`, `500_twice`, `circle`,
    `moved`, `moved_to_http`, `moved_to_file`.
    """

    server: PictureServer

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        self.server.asked[behaviour] += 1
        asked, picture = self.server.asked[behaviour], self.server.picture
        status, _, times = behaviour.partition("_")
        if status.isdecimal() and asked <= {"once": 1, "twice": 2, "": 1000}[times]:
            self.send_error(int(status))
        elif behaviour in MOVED:
            self.send_response(302)
            self.send_header("Location", MOVED[behaviour])
            self.end_headers()
        elif behaviour in ("endless", "trickle"):
            self.begin(None)
            while not self.server.released.wait(0 if behaviour == "endless" else 0.02):
                self.wfile.write(picture if behaviour == "endless" else picture[:100])
        elif behaviour == "hang":
            self.begin(len(picture))
            self.server.released.wait(30)
        elif behaviour == "cut":
            self.begin(len(picture), picture[: len(picture) // 2])
        elif behaviour == "long":
            self.begin(2 * len(picture), picture * 2)
        else:
            sent = picture[::-1] if behaviour == "wrong" else picture
            self.begin(len(sent), sent)

    def begin(self, length: int | None, content: bytes = b"") -> None:
        """The answer, of a length that it tells or (None) does not."""
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_line) -> None:
        """Say nothing."""


@contextmanager
def serving(picture: bytes) -> Iterator[PictureServer]:
    server = PictureServer(picture)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
