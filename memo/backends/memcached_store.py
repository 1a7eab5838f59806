"""What both colours of the memcached backend ask of one server, in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymemcache.exceptions import MemcacheServerError  # type: ignore[import-untyped]

from ..errors import Full
from .memcached_connections import Connections
from .memcached_rules import (
    DRAWS,
    Refused,
    Server,
    exptime,
    full,
    keys_of,
    new_token,
    opened,
    pieces,
    sealed,
)
from .memcached_sockets import Limit

__all__ = ["Store"]


class Store:
    """Keeps bytes under names, on the server that is named with each call.

    Every method raises `TimeoutError` where it takes longer than its `limit` allows, and what the
    system or pymemcache raise where the server cannot be reached or makes no sense.
    """

    def __init__(self) -> None:
        self._connections = Connections()

    def read(self, server: Server, names: Sequence[str], limit: Limit) -> dict[str, bytes]:
        """What is stored under each of `names` and was not cleared since; one round trip."""
        if len(names) == 1:
            keys = keys_of(names[0])
            data = opened(keys, self._connections.ask(server, limit, "get_many", keys))
            return {} if data is None else {names[0]: data}
        all_keys = {name: keys_of(name) for name in names}
        found = self._get(server, {key: None for keys in all_keys.values() for key in keys}, limit)
        opening = ((name, opened(keys, found)) for name, keys in all_keys.items())
        return {name: data for name, data in opening if data is not None}

    def write(
        self, server: Server, items: Mapping[str, tuple[bytes, float | None]], limit: Limit
    ) -> None:
        """Store the bytes of each item for so many seconds; None: for ever. Two round trips.

        Where one is refused, the others are stored all the same. What is good for no more than 0
        seconds is dropped.

        Raises:
            Full: there is no room for one of them, or it is over the server's limit.
        """
        kept = [name for name, (_, seconds) in items.items() if seconds is None or seconds > 0]
        for name in items.keys() - kept:
            self._connections.ask(server, limit, "delete", name.encode())
        tokens = self._tokens(server, {key for name in kept for key in keys_of(name)[:2]}, limit)
        now = time.time()
        groups: dict[int, dict[bytes, bytes]] = {}
        for name in kept:
            data, seconds = items[name]
            first, second, key = keys_of(name)
            group = groups.setdefault(exptime(seconds, now), {})
            group[key] = sealed((tokens[first], tokens[second]), data)
        failures: list[Exception] = []
        for moment, group in groups.items():
            for some in pieces(group):
                failures += self._set(server, {key: group[key] for key in some}, moment, limit)
        if failures:
            raise failures[0]

    def delete(self, server: Server, name: str, limit: Limit) -> bool:
        """Drop what is under `name`; whether there was anything that was not cleared."""
        there = bool(self.read(server, (name,), limit))
        return bool(self._connections.ask(server, limit, "delete", name.encode())) and there

    def forget(self, server: Server, prefix: str, limit: Limit) -> None:
        """Drop the token on which all names beginning with `prefix` depend."""
        self._connections.ask(server, limit, "delete", prefix.encode())

    def ping(self, server: Server, limit: Limit) -> None:
        """Have the server say something."""
        self._connections.ask(server, limit, "version")

    def close(self) -> None:
        """Close all connections; another call makes new ones."""
        self._connections.close()

    def _get(self, server: Server, keys: Iterable[bytes], limit: Limit) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for some in pieces(keys):
            found |= self._connections.ask(server, limit, "get_many", some)
        return found

    def _tokens(self, server: Server, keys: set[bytes], limit: Limit) -> dict[bytes, bytes]:
        """The tokens under `keys`; those that are missing are made."""
        found: dict[bytes, bytes] = {}
        missing = keys
        for _ in range(DRAWS):
            found |= self._get(server, missing, limit)
            for key in keys - found.keys():
                token = new_token()
                if self._kept(server, limit, "add", key, token):
                    found[key] = token
            missing = keys - found.keys()
            if not missing:
                return found
        raise Refused(f"{server} drops tokens as soon as they are made: it is too small")

    def _set(
        self, server: Server, group: Mapping[bytes, bytes], seconds: int, limit: Limit
    ) -> list[Exception]:
        """Store all of `group`; what went wrong."""
        try:
            refused = self._kept(server, limit, "set_many", group, seconds)
        except (Full, MemcacheServerError) as error:
            if len(group) == 1:
                return [error]
            # pymemcache stops at the first that is refused, and does not say which it is.
            singly = ({key: data} for key, data in group.items())
            return [failure for one in singly for failure in self._set(server, one, seconds, limit)]
        return [Refused(f"{server} did not store {len(refused)} values")] if refused else []

    def _kept(self, server: Server, limit: Limit, command: str, *args: Any) -> Any:
        try:
            return self._connections.ask(server, limit, command, *args)
        except MemcacheServerError as error:
            refusal = full(str(error))
            if refusal is None:
                raise
            raise refusal from error
