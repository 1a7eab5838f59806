"""The story, act by act, and what must have held when it is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..backends import Memory
from ..configuration import bypass
from ..decorator import cached
from ..errors import CacheError, OperationFailed
from ..testing import FaultyBackend
from . import policies
from .act import Act, Row
from .client import AsyncClient, Client
from .crowd import Crowd, answer_is_right
from .policies import Line
from .server import TokenServer
from .sightings import WHAT_WAS_DONE, Sightings
from .tokens import Token

__all__ = ["Check", "Screen", "Story", "tell"]

THREADS: Final = 8
# fmt: off
USERS: Final = (
    "ada", "alan", "anita", "barbara", "claude", "dennis", "donald", "edsger",
    "frances", "grace", "guido", "hedy", "jean", "john", "katherine", "ken",
    "konrad", "leslie", "linus", "margaret", "niklaus", "radia", "tim", "tony",
)
# fmt: on
#: Fewer than there are users: the store will be full.
ROOM: Final = 16
SLOW: Final = (0.06, 0.12)
#: Seconds before its end from which a token is not used any more: it has a way to go.
MARGIN: Final = 0.5
TASKS: Final = 240


class Screen(Protocol):
    """Where the story is shown."""

    def opening(self, text: str) -> None:
        """What this is about."""

    def act(self, act: Act) -> None:
        """`act` begins."""

    def met(self, error: CacheError) -> None:
        """The first error of its kind; called in the thread that met it."""

    def tick(self, story: Story) -> None:
        """Time has passed in an act."""

    def act_over(self, story: Story) -> None:
        """The act has ended."""

    def policies(self, lines: Iterator[Line]) -> list[Line]:
        """The act of the policies, line by line as they come; returns them."""
        ...

    def summary(self, checks: list[Check], verdict: str) -> None:
        """What held, and what did not."""

    def close(self) -> None:
        """Give the terminal back, whatever has happened."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must have held."""

    text: str
    held: bool


@dataclass(slots=True)
class Story:
    """All that can be seen of the story so far."""

    sightings: Sightings
    acts: list[Act] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def current(self) -> list[Row]:
        """The rows of the acts that are over, and that of the one that is on."""
        playing = self.acts[len(self.rows) :]
        return [*self.rows, *(act.row() for act in playing)]


def tell(screen: Screen, seconds: float) -> bool:
    """Tell the story in about `seconds`, on `screen`; returns whether everything held."""
    story = Story(Sightings(screen.met))
    lifetime = MARGIN + max(0.8, seconds * 0.1)
    with _log_lines() as logged, TokenServer(slow=SLOW, lifetime=lifetime) as server:
        with Client(server.port) as client, closing(screen):
            checks = _acts(story, screen, seconds, server, client)
        checks += _checks_of_log(story, server, logged)
    held = all(check.held for check in checks)
    took = time.monotonic() - story.started
    verdict = "Everything held" if held else "NOT everything held"
    screen.summary(checks, f"{verdict}. It took {took:.1f} s.")
    return held


def _acts(
    story: Story, screen: Screen, seconds: float, server: TokenServer, client: Client
) -> list[Check]:
    sightings = story.sightings
    backend = FaultyBackend(Memory(ROOM, eviction="none"))

    @cached(
        ttl=lambda token: token.expires_in - MARGIN,
        backend=backend,
        policy=sightings.policy,
        name="token_of",
    )
    def token_of(user: str) -> Token:
        return client.issue(user)

    crowd = Crowd(token_of, client, users=USERS, threads=THREADS)
    low, high = (1000 * bound for bound in SLOW)
    screen.opening(
        f"{THREADS} threads open the inboxes of {len(USERS)} users. A request needs a signed token,"
        f" and the endpoint that issues it takes {low:.0f} to {high:.0f} ms."
    )

    def play(name: str, about: str, share: float, info: Any, **how: Any) -> Row:
        act = Act(name, about, server.log, info)
        story.acts.append(act)
        screen.act(act)
        crowd.play(act, seconds * share, tick=lambda: screen.tick(story), **how)
        return _over(story, screen)

    play(
        "no cache",
        "Without a cache (memo.bypass): every request asks for a token first.",
        0.14,
        None,
        until=lambda: len(story.acts[-1].latencies) >= THREADS,
        within=bypass,
    )
    play(
        "with memo",
        "With @cached(ttl=lambda token: token.expires_in - margin): a token for each user, for as"
        f" long as it lasts. The store has room for {ROOM} of the {len(USERS)}, on purpose.",
        0.32,
        token_of.cache_info,
        until=lambda: _has_shown(story, hits=True, errors=set(WHAT_WAS_DONE) - {OperationFailed}),
        morning=True,
    )
    backend.fail(error=ConnectionRefusedError)
    play(
        "cache down",
        "The backend is taken away, and nobody is told: each call goes to the endpoint, except that"
        " callers of the same user at the same time share one answer.",
        0.18,
        token_of.cache_info,
        until=lambda: _has_shown(story, hits=False, errors={OperationFailed}),
    )
    backend.heal()
    play(
        "cache back",
        "The backend is back, and nobody is told. Nothing is restarted.",
        0.16,
        token_of.cache_info,
        until=lambda: _has_shown(story, hits=True, errors=set()),
    )
    _play_async(story, screen, server)
    story.lines = screen.policies(policies.play(server, client))
    return _checks(story)


def _has_shown(story: Story, *, hits: bool, errors: set[type[CacheError]]) -> bool:
    row = story.acts[-1].row()
    return errors <= story.sightings.counts.keys() and bool(row.hits or not hits)


def _over(story: Story, screen: Screen) -> Row:
    row = story.acts[-1].row()
    story.rows.append(row)
    screen.act_over(story)
    return row


def _play_async(story: Story, screen: Screen, server: TokenServer) -> Row:
    """The same on an event loop: all tasks at once on a cold cache."""

    async def play() -> None:
        async with AsyncClient(server.port) as client:

            @cached(ttl=lambda token: token.expires_in - MARGIN)
            async def token_of(user: str) -> Token:
                return await client.issue(user, 60.0)

            async def request(user: str) -> None:
                started = time.perf_counter()
                try:
                    token = await token_of(user)
                    if not answer_is_right(user, await client.inbox(token)):
                        act.wrong.append(user)
                except Exception as error:
                    act.errors.append(f"{type(error).__name__}: {error}")
                act.latencies.append(time.perf_counter() - started)

            act = Act(
                "asyncio",
                f"{TASKS} tasks at once, {len(USERS)} users, nothing cached: one task asks for each"
                " user's token, and the others wait for it.",
                server.log,
                token_of.cache_info,
            )
            story.acts.append(act)
            screen.act(act)
            screen.tick(story)
            async with asyncio.TaskGroup() as group:
                for number in range(TASKS):
                    group.create_task(request(USERS[number % len(USERS)]))

    asyncio.run(play())
    return _over(story, screen)


def _checks(story: Story) -> list[Check]:
    bare, memo, down, back, tasks = story.rows
    cached_rows = story.rows[1:]
    requests = sum(row.requests for row in story.rows)
    errors = [error for act in story.acts for error in act.errors]
    wrong = [user for act in story.acts for user in act.wrong]
    renewed = [len(act.renewed) for act in story.acts]
    saved = sum(row.requests - row.tokens for row in cached_rows)
    needed = sum(row.requests for row in cached_rows)
    counts = story.sightings.counts
    return [
        Check(
            f"{requests:,} requests, {len(errors)} errors seen by the client"
            + "".join(f" ({error})" for error in sorted(set(errors))[:3]),
            not errors,
        ),
        Check(
            f"{len(wrong)} wrong answers (another user's inbox, or a token past its time)",
            not wrong,
        ),
        Check(
            f"{saved:,} of {needed:,} token requests saved; a request took"
            f" {1000 * bare.median:.0f} ms without memo and {1000 * memo.median:.1f} ms with it",
            saved > 0 and bool(memo.hits) and bool(back.hits),
        ),
        Check(
            "without the cache the server issued a token for each request",
            bare.tokens == bare.requests + renewed[0],
        ),
        Check(
            f"one token for each user from {tasks.requests} tasks at once",
            tasks.tokens == len(USERS) and tasks.misses == len(USERS),
        ),
        Check(
            "in each act hits + misses is the number of calls, and a miss is a token issued",
            all(
                row.hits is not None
                and row.misses is not None
                and row.hits + row.misses == row.requests
                and row.misses + again == row.tokens
                for row, again in zip(cached_rows, renewed[1:], strict=True)
            ),
        ),
        Check(
            "met and absorbed: "
            + ", ".join(f"{counts[kind]} {kind.__name__}" for kind in WHAT_WAS_DONE),
            all(counts[kind] for kind in WHAT_WAS_DONE) and bool(down.failed),
        ),
        Check("every other policy did as it says", all(line.held for line in story.lines)),
    ]


def _checks_of_log(story: Story, server: TokenServer, logged: list[str]) -> list[Check]:
    log = server.log()
    requests = sum(row.requests for row in story.rows)
    opened = sum(line.outcome.startswith("the token") for line in story.lines)
    renewed = sum(len(act.renewed) for act in story.acts)
    failures = sum(row.failed or 0 for row in story.rows)
    heard = story.sightings.heard
    return [
        Check(
            f"the server's log: {log.served:,} inboxes opened, {log.issued.total():,} tokens"
            f" issued, {log.refused.total()} refused",
            log.served == requests + opened
            and log.refused.total() == renewed
            and log.refused.keys() <= {"expired"},
        ),
        Check(
            f"on_error heard of all {heard} failures; the log has {len(logged)} lines about them",
            heard == failures and bool(logged),
        ),
    ]


@contextmanager
def _log_lines() -> Iterator[list[str]]:
    """What goes to the logger "memo" meanwhile, which would else be printed into the picture."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("memo")
    handler, propagate, level = Keep(), logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        yield lines
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.removeHandler(handler)
