"""The short act: the same four errors under other policies, one call each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..backends import Memory
from ..decorator import cached
from ..errors import CacheError, Expired, Full, Miss, OperationFailed
from ..policy import STALE, Policy, fallback, raise_as
from ..testing import FaultyBackend
from .client import Client, RefusedError
from .server import TokenServer
from .tokens import Token

__all__ = ["Line", "TokenRefreshError", "play"]

#: Seconds that the story has time to wait for a token to run out.
_SHORT = 0.05


class TokenRefreshError(Exception):
    """The error of a program that does not want to know about caches."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one policy did about one error.

    Attributes:
        policy: as it is written.
        trouble: what was the matter with the cache.
        outcome: what the caller got.
        asked: how many tokens the endpoint issued for it.
        held: whether all of this is as promised.
    """

    policy: str
    trouble: str
    outcome: str
    asked: int
    held: bool


class _Stage:
    """A server, a client, and a token function over a backend of its own for each line."""

    def __init__(self, server: TokenServer, client: Client) -> None:
        self.server = server
        self.client = client

    def token_of(self, policy: Policy, *, ttl: float = 30.0, **options: Any) -> Any:
        @cached(ttl=ttl, policy=policy, name="token_of", **options)
        def token_of(user: str) -> Token:
            return self.client.issue(user, 60.0)

        return token_of

    def try_it(
        self, policy: str, trouble: str, call: Callable[[], Any], promise: tuple[object, int, str]
    ) -> Line:
        """Make `call`; `promise` is the type it gives or raises, the tokens it costs, in words."""
        kind, cost, words = promise
        before = self.server.log().issued.total()
        try:
            got = call()
            if isinstance(got, Token):
                self.client.inbox(got)  # the server takes it
        except (CacheError, TokenRefreshError, RefusedError) as error:
            got = error
        asked = self.server.log().issued.total() - before
        held = type(got) is kind and asked == cost
        outcome = words if held else f"{type(got).__name__}: {got}"
        return Line(policy, trouble, outcome, asked, held)


@contextmanager
def _away(backend: FaultyBackend) -> Iterator[None]:
    backend.fail(error=ConnectionRefusedError)
    try:
        yield
    finally:
        backend.heal()


def play(server: TokenServer, client: Client) -> Iterator[Line]:
    """Play it; each line comes when its call has been made."""
    stage = _Stage(server, client)
    away, first_sight = "backend away", "not stored yet"

    backend = FaultyBackend(Memory(8))
    strict = stage.token_of(Policy.strict(), backend=backend)
    with _away(backend):
        yield stage.try_it(
            "strict()", away, lambda: strict("ada"), (OperationFailed, 0, "OperationFailed")
        )

    small = stage.token_of(
        Policy.strict(), maxsize=64, getsizeof=lambda token: len(token.access_token)
    )

    def too_large() -> Any:
        try:
            return small("ada")
        except Full as full:
            # The function had run by then, so that its token need not be lost.
            return full if type(full.value) is Token else full.value

    words = "Full, the token in its .value"
    yield stage.try_it("strict()", "token too large", too_large, (Full, 1, words))

    only = stage.token_of(Policy.cache_only(), ttl=_SHORT)
    only.refresh("bob")
    yield stage.try_it("cache_only()", first_sight, lambda: only("ada"), (Miss, 0, "Miss"))
    time.sleep(2 * _SHORT)
    yield stage.try_it(
        "cache_only()", "token has run out", lambda: only("bob"), (Expired, 0, "Expired")
    )

    own = stage.token_of(Policy(failed=raise_as(TokenRefreshError)), backend=backend)
    with _away(backend):
        words = "TokenRefreshError"
        yield stage.try_it("raise_as(...)", away, lambda: own("ada"), (TokenRefreshError, 0, words))

    spare = stage.token_of(Policy(failed=fallback(Memory(8))), backend=backend)
    with _away(backend):
        words = "the token, both times"
        yield stage.try_it(
            "fallback(Memory())",
            away,
            lambda: spare("ada") and spare("ada"),
            (Token, 1, words),
        )

    stale = stage.token_of(Policy(failed=STALE), backend=backend)
    stale("ada")
    with _away(backend):
        words = "the token as last seen"
        yield stage.try_it("failed=STALE", away, lambda: stale("ada"), (Token, 0, words))
