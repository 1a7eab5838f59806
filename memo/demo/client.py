"""The client: asks the server over real connections, and knows nothing of caches."""

from __future__ import annotations

import asyncio
import json
import queue
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from .tokens import Token

__all__ = ["AsyncClient", "Client", "RefusedError"]

_HOST = "127.0.0.1"
_TIMEOUT = 10.0
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class RefusedError(Exception):
    """The server did not answer with 200; what it said instead."""


class Client:
    """A blocking client, for any number of threads; connections are kept and shared."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: queue.LifoQueue[HTTPConnection] = queue.LifoQueue()

    def issue(self, user: str, lifetime: float | None = None) -> Token:
        """A new token for `user`, to last `lifetime` seconds.

        Raises:
            RefusedError, OSError, http.client.HTTPException: there is none to be had.
        """
        asked = time.time()
        answer = self._ask("POST", "/token", _form(user, lifetime), _FORM)
        return _token(user, answer, asked)

    def inbox(self, token: Token) -> dict[str, Any]:
        """The inbox that `token` opens.

        Raises:
            RefusedError, OSError, http.client.HTTPException: it stays closed.
        """
        return self._ask("GET", "/inbox", None, _bearer(token))

    def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = HTTPConnection(_HOST, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            connection.close()
            raise
        self._idle.put(connection)
        return _content(response.status, content)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """The same for one event loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Streams] = []

    async def issue(self, user: str, lifetime: float | None = None) -> Token:
        """A new token for `user`, to last `lifetime` seconds.

        Raises:
            RefusedError, OSError: there is none to be had.
        """
        asked = time.time()
        answer = await self._ask("POST", "/token", _form(user, lifetime), _FORM)
        return _token(user, answer, asked)

    async def inbox(self, token: Token) -> dict[str, Any]:
        """The inbox that `token` opens.

        Raises:
            RefusedError, OSError: it stays closed.
        """
        return await self._ask("GET", "/inbox", "", _bearer(token))

    async def _ask(
        self, method: str, path: str, body: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {_HOST}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", body]
        async with asyncio.timeout(_TIMEOUT):
            if self._idle:
                reader, writer = self._idle.pop()
            else:
                reader, writer = await asyncio.open_connection(_HOST, self._port)
            try:
                writer.write("\r\n".join(lines).encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = head.partition("content-length:")[2].split()[0]
                content = await reader.readexactly(int(length))
            except BaseException:
                writer.close()  # the answer may still come, and is nobody else's
                raise
        self._idle.append((reader, writer))
        return _content(int(head.split()[1]), content)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


def _form(user: str, lifetime: float | None) -> str:
    return urlencode({"user": user} | ({} if lifetime is None else {"lifetime": lifetime}))


def _bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access_token}"}


def _token(user: str, answer: dict[str, Any], asked: float) -> Token:
    # Counted from before the question, the lifetime ends no later than the server says.
    return Token(user, answer["access_token"], asked + answer["expires_in"])


def _content(status: int, content: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(content)
    if status != HTTPStatus.OK:
        raise RefusedError(f"{status}: {answer.get('error_description') or answer['error']}")
    return answer
