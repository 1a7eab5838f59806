"""A few lines of the Redis protocol, to ask a server what it really holds without any client."""

import socket
from typing import Any

__all__ = ["ServerError", "ask"]


class ServerError(Exception):
    """What the server answered with a minus in front."""


def ask(address: Any, *words: Any, timeout: float = 5.0) -> Any:
    """The answer of the server at `address` (a pair, or the path of a socket) to one command.

    Texts come back as bytes, a nil as None; `timeout` is in seconds.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts)
        request += b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        connection.sendall(request)
        with connection.makefile("rb") as answers:
            return _read(answers)


def _read(answers: Any) -> Any:
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError(f"the server went away after {line!r}")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise ServerError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else answers.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return None if rest == b"-1" else [_read(answers) for _ in range(int(rest))]
    return rest
