"""Many threads that open the inboxes of many users, some users far more often than others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .act import Act
from .client import Client, RefusedError
from .server import messages_of
from .tokens import Token

__all__ = ["Crowd", "answer_is_right", "zipf"]

#: Seconds between two requests of one thread.
_PAUSE = 0.004
#: Seconds between two looks at what is going on.
_TICK = 0.1
#: Seconds an act may take longer, on a machine so busy that it has not shown its point in time.
_PATIENCE = 12.0


def zipf(count: int) -> list[float]:
    """Weights for `count` users: the second comes half as often as the first, and so on."""
    return [1 / rank for rank in range(1, count + 1)]


def answer_is_right(user: str, inbox: dict[str, Any]) -> bool:
    """Whether `inbox` is that of `user`."""
    return bool(inbox == {"user": user, "messages": messages_of(user)})


class Crowd:
    """Threads that each ask for a user's token and open the inbox with it, again and again.

    Args:
        token_of: gives a user's token; its `refresh` gives a new one.
    """

    def __init__(
        self, token_of: Any, client: Client, *, users: Sequence[str], threads: int
    ) -> None:
        self._token_of = token_of
        self._client = client
        self._users = users
        self._threads = threads
        self._weights = zipf(len(users))

    def play(
        self,
        act: Act,
        seconds: float,
        *,
        tick: Callable[[], object],
        until: Callable[[], bool] = lambda: True,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        morning: bool = False,
    ) -> None:
        """Play `act`.

        Args:
            seconds: how long at least.
            tick: called ten times a second meanwhile.
            until: it goes on until this says that its point has been made, for a while.
            within: makes the context that each thread works in.
            morning: every user comes once to begin with.
        """
        stop = threading.Event()

        def work(number: int) -> None:
            with within():
                first = list(self._users[number :: self._threads]) if morning else []
                dice = random.Random(f"{act.name} {number}")
                while not stop.is_set():
                    user = first.pop() if first else self._pick(dice)
                    self._request(user, act)
                    stop.wait(_PAUSE)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(self._threads)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        try:
            while (now := time.monotonic()) < end or (not until() and now < end + _PATIENCE):
                tick()
                time.sleep(_TICK)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        tick()

    def _pick(self, dice: random.Random) -> str:
        return dice.choices(self._users, self._weights)[0]

    def _request(self, user: str, act: Act) -> None:
        started = time.perf_counter()
        try:
            token: Token = self._token_of(user)
            if token.user != user or token.expires_in <= 0:
                act.wrong.append(user)
            try:
                inbox = self._client.inbox(token)
            except RefusedError:
                # It ran out on its way, or was withdrawn. Every client of such a server tries once
                # more with a new one.
                act.renewed.append(user)
                inbox = self._client.inbox(self._token_of.refresh(user))
            if not answer_is_right(user, inbox):
                act.wrong.append(user)
        except Exception as error:
            act.errors.append(f"{type(error).__name__}: {error}")
        act.latencies.append(time.perf_counter() - started)
