"""An HTTP server on loopback whose answers a test sets by path."""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Answer = Callable[[Request], Response]  # What the server does with one path.


def json_answer(body: object, status: int = 200, **headers: str) -> Answer:
    """An answer that is always the same JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(json.dumps(body), status, named, mimetype="application/json")


class AnsweringServer:
    """An HTTP server on loopback whose answers a test sets by path; it keeps the requests it got."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[Request] = []
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.path == path for request in self.seen)

    def _app(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data()
        self.seen.append(request)
        answer = self.answers.get(request.path, json_answer({"error": "not_found"}, 404))
        return answer(request)(environ, start_response)


class _Quiet(WSGIRequestHandler):
    def send_response(self, code: int, message: str | None = None) -> None:
        """Send no `Date` beside the one that a test gives."""
        self.send_response_only(code, message)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Keep the test run's output clean."""
