"""The server: an endpoint that issues tokens, slowly, and an inbox that wants one.

    POST /token   user=ada&lifetime=1.5   ->  {"access_token": ..., "token_type", "expires_in"}
    GET  /inbox   Authorization: Bearer   ->  {"user": "ada", "messages": 3}, or 401

It keeps a log of its own, which is what the client's account is checked against.
"""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from .tokens import InvalidTokenError, sign, verify

__all__ = ["Log", "TokenServer", "messages_of"]

_SCHEME = "Bearer "
_LONGEST = 3600.0


@dataclass(slots=True)
class Log:
    """What the server has done so far.

    Attributes:
        issued: tokens issued, by user.
        served: how many requests for an inbox were answered.
        refused: requests for an inbox that were refused, by reason.
    """

    issued: Counter[str] = field(default_factory=Counter)
    served: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Log:
        """The log as it is now."""
        return Log(self.issued.copy(), self.served, self.refused.copy())


def messages_of(user: str) -> int:
    """How many messages `user` has: the same number every time, and hardly ever another user's."""
    return zlib.crc32(user.encode())


class TokenServer:
    """A token endpoint and a protected inbox, on a free port of the loopback interface.

    Args:
        slow: the shortest and the longest time that issuing a token takes, in seconds.
        lifetime: seconds a token is good for, where the client does not say for how long it wants
            it. An hour is the most.
    """

    def __init__(self, *, slow: tuple[float, float] = (0.06, 0.12), lifetime: float = 1.5) -> None:
        self._slow = slow
        self._lifetime = lifetime
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._log = Log()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.office = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_address[1])

    def log(self) -> Log:
        """A copy of the log."""
        with self._lock:
            return self._log.copy()

    def issue(self, user: str, lifetime: float | None) -> dict[str, Any]:
        """The answer of the token endpoint (RFC 6749, section 5.1), after a while."""
        time.sleep(random.uniform(*self._slow))
        expires_in = self._lifetime if lifetime is None else min(lifetime, _LONGEST)
        token = sign(user, time.time() + expires_in, self._secret)
        with self._lock:
            self._log.issued[user] += 1
        return {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}

    def open_inbox(self, token: str) -> dict[str, Any]:
        """The inbox of the user that `token` was issued to.

        Raises:
            InvalidTokenError: the token is not accepted.
        """
        try:
            user = verify(token, self._secret, time.time())
        except InvalidTokenError as error:
            with self._lock:
                self._log.refused[str(error)] += 1
            raise
        with self._lock:
            self._log.served += 1
        return {"user": user, "messages": messages_of(user)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    office: TokenServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"  # connections stay open
    wbufsize = -1  # an answer leaves in one packet
    disable_nagle_algorithm = True  # and at once

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode())
        try:
            user = form["user"][0]
            lifetime = float(form["lifetime"][0]) if "lifetime" in form else None
        except (KeyError, ValueError):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "invalid_request"})
            return
        if self.path != "/token":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not_found"})
            return
        self._answer(HTTPStatus.OK, self.server.office.issue(user, lifetime))

    def do_GET(self) -> None:
        if self.path != "/inbox":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not_found"})
            return
        token = self.headers.get("Authorization", "").removeprefix(_SCHEME)
        try:
            inbox = self.server.office.open_inbox(token)
        except InvalidTokenError as error:
            refusal = {"error": "invalid_token", "error_description": str(error)}  # RFC 6750, 3.1
            self._answer(HTTPStatus.UNAUTHORIZED, refusal)
        else:
            self._answer(HTTPStatus.OK, inbox)

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's
        """The log that counts is the server's own."""
