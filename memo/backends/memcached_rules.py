"""What both colours of the memcached backend agree on, and what memcached makes of times and sizes.

Which server has a key: the one with the highest score for it (rendezvous hashing: Thaler and
Ravishankar, "Using name-based mappings to increase hit rates", 1998), the score being a BLAKE2b
digest. All servers are asked for their own keys only, so a dead one is an error for its keys, and
none of them move to another server, where they would be found outdated when it is back.

How a server forgets a whole namespace or scope, though it cannot list what it holds: by
generations. Under each prefix there is a token, drawn by lot; what is stored begins with the tokens
of its namespace and its scope, and counts only while these are still the same. To clear is to drop
the token. Every server has tokens of its own, beside the keys that it has.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from ..errors import Full, shown
from .urls import Url, parts

__all__ = [
    "DRAWS",
    "Refused",
    "Server",
    "Servers",
    "exptime",
    "full",
    "keys_of",
    "new_token",
    "of_url",
    "opened",
    "pieces",
    "sealed",
]

PORT: Final = 11211

#: How often to draw a token that the server drops, or another process draws, at the same time.
DRAWS: Final = 3

#: Seconds: a longer lifetime would be taken for a moment of Unix time.
_MONTH: Final = 30 * 86_400

#: Seconds that a lifetime given as a moment is stretched by, since the server's clock may be ahead.
_DAY: Final = 86_400

#: The end of Unix time on a server that counts it in 32 bits.
_END_OF_TIME: Final = 2**31

#: Bytes.
_TOKEN: Final = 8

#: Keys in one question.
_AT_ONCE: Final = 500


class Refused(Exception):
    """The server did not do what it was asked to; the message is its own."""


class Server(NamedTuple):
    """Where a server listens: a host and a port, or the path of a unix socket and port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Servers:
    """All servers of a backend, in the order given.

    Args:
        servers: a text "host:port,host", the same as a URL, or an iterable of "host:port" or
            `(host, port)`; a text that begins with "/" is the path of a unix socket.

    Raises:
        TypeError, ValueError: what names no server; the message says which.
    """

    def __init__(self, servers: str | Iterable[str | tuple[str, int]]) -> None:
        if isinstance(servers, str):
            self.all = _servers(servers)
        elif isinstance(servers, Iterable):
            self.all = tuple(server for one in servers for server in _servers(one))
        else:
            raise TypeError(f"servers={shown(servers)}: takes a text, or several in a list")
        if not self.all:
            raise ValueError(f"servers={shown(servers)}: takes at least one")
        if len(set(self.all)) < len(self.all):
            raise ValueError(f"servers={str(self)!r}: each can be named once")
        self._seeds = [
            (blake2b(str(server).encode(), digest_size=32).digest(), server) for server in self.all
        ]

    def of(self, name: str) -> Server:
        """The server that has `name`, as everybody agrees who names the same servers."""
        if len(self.all) == 1:
            return self.all[0]
        raw = name.encode()
        scored = (
            (blake2b(raw, digest_size=8, key=seed).digest(), server) for seed, server in self._seeds
        )
        return max(scored)[1]

    def split(self, names: Iterable[str]) -> dict[Server, list[str]]:
        """Which of `names` each server has."""
        found: dict[Server, list[str]] = {}
        for name in names:
            found.setdefault(self.of(name), []).append(name)
        return found

    def __str__(self) -> str:
        return ",".join(map(str, self.all))


def _servers(given: object) -> tuple[Server, ...]:
    if isinstance(given, Server):
        return (given,)
    if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004 - host and port
        host, port = given
        if isinstance(host, str) and isinstance(port, int):
            given = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not isinstance(given, str):
        raise TypeError(f"servers: {shown(given)} is none; takes 'host', 'host:port', (host, port)")
    if given.startswith("/"):
        return (Server(given, 0),)
    return of_url(parts(given if "://" in given else f"memcached://{given}", {}))


def of_url(url: Url) -> tuple[Server, ...]:
    """The servers that `url` names.

    Raises:
        ValueError: it names none, or has what memcached has not.
    """
    if url.scheme != "memcached":
        raise ValueError(f"backend={url.hidden!r}: takes memcached://host:port,host")
    if url.username is not None or url.password is not None:
        raise ValueError(f"backend={url.hidden!r}: memcached has no users and passwords")
    if url.hosts and url.path.strip("/"):
        raise ValueError(f"backend={url.hidden!r}: memcached has no databases; leave the path out")
    if not url.hosts:
        if not url.path.strip("/"):
            raise ValueError(
                f"backend={url.hidden!r}: names no server; takes memcached://host:port,host or "
                "memcached:///path/of/socket"
            )
        return (Server(url.path, 0),)
    return tuple(Server(host.lower(), port or PORT) for host, port in url.hosts)


def pieces(keys: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """`keys` in portions that can be sent at once without the server's answers piling up."""
    every = [*keys]
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))


def exptime(seconds: float | None, now: float) -> int:
    """What to tell a server for which an entry is good for another `seconds`; `now` is Unix time.

    memcached counts in whole seconds from its last tick, so one is added: nothing goes early, and
    when exactly an entry expires is written in the entry. 0 is for ever. More than thirty days must
    be a moment of Unix time, by the server's clock; a day is added for that.
    """
    if seconds is None:
        return 0
    whole = math.ceil(min(seconds, _END_OF_TIME)) + 1
    if whole <= _MONTH:
        return whole
    moment = int(now) + whole + _DAY
    return moment if moment < _END_OF_TIME else 0


def keys_of(name: str) -> tuple[bytes, bytes, bytes]:
    """The keys to ask a server for: of the tokens `name` depends on, and of what is under it.

    The tokens of its namespace and its scope are under the prefixes that are cleared by them; no
    name is a prefix, since names end in a digest.
    """
    key = name.encode()
    return key[: key.index(b":") + 1], key[: key.rindex(b":") + 1], key


def new_token() -> bytes:
    """A token that was never used before."""
    return secrets.token_bytes(_TOKEN)


def sealed(tokens: Iterable[bytes], data: bytes) -> bytes:
    """What to store: `data` behind the tokens it depends on."""
    return b"".join((*tokens, data))


def opened(keys: tuple[bytes, bytes, bytes], found: Mapping[bytes, bytes]) -> bytes | None:
    """What was stored, if its tokens are still those of today; else None. `keys` are `keys_of`."""
    first, second, data = map(found.get, keys)
    if first is None or second is None or data is None or not data.startswith(first + second):
        return None
    return data[len(first) + len(second) :]


def full(answer: str) -> Full | None:
    """What a server that refused to store something with `answer` has no room for, if that is it.

    "object too large for cache" is one value over the server's limit (`-I`, 1 MiB by default), "out
    of memory" a server that does not evict (`-M`), or has no memory page for values of this size.
    """
    if "too large" in answer:
        return Full(None, too_large=True)
    return Full(None) if "out of memory" in answer else None
