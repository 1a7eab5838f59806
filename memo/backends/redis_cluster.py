"""A Redis cluster as blocking code asks it; redis-py's client knows who has which slots.

Requests go straight to the masters, all that belong together at once. The client itself would, when
something fails, sleep for a quarter of a second, whatever the deadline, and send again one by one.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis
import redis.cluster
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from .redis_commands import Request
from .redis_deadlines import connection_class, left
from .redis_pool import Exchange, Idle
from .redis_servers import UNCERTAIN, Servers, tcp

__all__ = ["ASKING", "MOVES", "Cluster"]

#: How often a key may have moved while it is looked for.
MOVES: Final = 5

#: What is to be said before a request about a key that is on its way to another server.
ASKING: Final = Request(None, ("ASKING",))


class Cluster(Servers):
    """The masters of a cluster."""

    def ask(self, requests: Sequence[Request]) -> list[Any]:
        """The replies to `requests`, each by the master that has the key."""
        client = self._up_to_date()
        replies: list[Any] = [None] * len(requests)
        todo: dict[int, Any] = dict.fromkeys(range(len(requests)))
        for _ in range(MOVES):
            for number, reply in self._exchange(client, requests, todo).items():
                replies[number] = reply
            todo = {}
            for number, reply in enumerate(replies):
                if isinstance(reply, exceptions.MovedError):
                    client.nodes_manager.move_slot(reply)
                    todo[number] = None
                elif isinstance(reply, exceptions.AskError):
                    todo[number] = client.get_node(reply.host, reply.port)
                elif isinstance(reply, UNCERTAIN):
                    raise reply
            if not todo:
                return replies
        raise exceptions.ClusterError(f"a key moved {MOVES} times while it was looked for")

    def nodes(self) -> Sequence[Any]:
        """The masters."""
        masters: Sequence[Any] = self._up_to_date().get_primaries()
        return masters

    def suspect(self) -> None:
        """Something went wrong: find out about the slots before anything else is asked."""
        self._outdated = True
        for idle in list(self._idle_by_name.values()):
            idle.close()

    def close(self) -> None:
        """Close the connections that nobody is using."""
        for idle in list(self._idle_by_name.values()):
            idle.close()
        if self._client is not None:
            self._client.close()

    def _begin(self) -> None:
        self._client: Any = None
        self._outdated = False
        self._finding_out = threading.Lock()
        self._idle_by_name: dict[str, Idle] = {}

    def _exchange(
        self, client: Any, requests: Sequence[Request], todo: Mapping[int, Any]
    ) -> dict[int, Any]:
        """The replies to those of `requests` that are in `todo`, with where they moved for now."""
        parts: dict[tuple[str, bool], tuple[Any, list[int]]] = {}
        for number, for_now in todo.items():
            where = requests[number].where
            node = for_now or (client.get_node_from_key(where) if type(where) is str else where)
            part = node.name, for_now is not None
            parts.setdefault(part, (node, []))[1].append(number)
        with contextlib.ExitStack() as taken:
            # All are sent before one is waited for.
            sent = []
            for (_, asking), (node, numbers) in parts.items():
                some = [requests[number] for number in numbers]
                if asking:
                    some = [one for request in some for one in (ASKING, request)]
                exchange = Exchange(self._idle_of(node), some)
                taken.callback(exchange.close)
                exchange.send()
                sent.append((exchange, numbers, 2 if asking else 1))
            return {
                number: reply
                for exchange, numbers, step in sent
                for number, reply in zip(numbers, exchange.receive()[step - 1 :: step], strict=True)
            }

    def _idle_of(self, node: Any) -> Idle:
        idle = self._idle_by_name.get(node.name)
        if idle is None:
            options = self.settings.connection_options(self.timeout)
            kind = connection_class(tcp(self.settings))
            make = functools.partial(kind, host=node.host, port=node.port, **options)
            idle = self._idle_by_name.setdefault(node.name, Idle(make))
        return idle

    def _up_to_date(self) -> Any:
        """The client; one thread finds out about the slots, where they are in doubt."""
        client = self._client
        if client is None:
            if not self._finding_out.acquire(timeout=left(self.timeout) or -1):
                raise TimeoutError(f"{self.settings} did not say in time who has which slots")
            try:
                client = self._client = self._client or self._new_client()
            finally:
                self._finding_out.release()
        elif self._outdated and self._finding_out.acquire(blocking=False):
            try:
                self._outdated = False  # before: who suspects something meanwhile, may be right
                client.nodes_manager.initialize()
            except BaseException:
                # Those that are known are of no use: begin with those that were named.
                self._client = None
                raise
            finally:
                self._finding_out.release()
        return client

    def _new_client(self) -> redis.RedisCluster:
        def pool(*, host: str, port: int, **_: Any) -> redis.ConnectionPool:
            return self.pool(host, port)

        node: Any = redis.cluster.ClusterNode
        (host, port), *others = self.settings.hosts
        return redis.RedisCluster(
            # Only a client that is made with a URL has pools as the caller wants them.
            url=f"redis://[{host}]:{port}" if ":" in host else f"redis://{host}:{port}",
            startup_nodes=[node(*other) for other in others],
            connection_pool_class=pool,
            require_full_coverage=False,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            address_remap=self.settings.remap,
        )
