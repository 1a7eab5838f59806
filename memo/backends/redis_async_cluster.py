"""A Redis cluster as async code asks it, in one event loop: the twin of `redis_cluster`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio
import redis.asyncio.cluster
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .redis_cluster import ASKING, MOVES
from .redis_commands import Request
from .redis_loops import connection_class
from .redis_servers import UNCERTAIN
from .redis_tasks import AsyncServers, async_options, tcp

__all__ = ["AsyncCluster"]


class AsyncCluster(AsyncServers):
    """The masters of a cluster, in the running event loop."""

    async def _ask(self, requests: Sequence[Request]) -> list[Any]:
        """The replies to `requests`, each by the master that has the key."""
        client = await self._up_to_date()
        replies: list[Any] = [None] * len(requests)
        todo: dict[int, Any] = dict.fromkeys(range(len(requests)))
        for _ in range(MOVES):
            for number, reply in (await self._exchange_all(client, requests, todo)).items():
                replies[number] = reply
            todo = {}
            for number, reply in enumerate(replies):
                if isinstance(reply, exceptions.MovedError):
                    await client.nodes_manager.move_slot(reply)
                    todo[number] = None
                elif isinstance(reply, exceptions.AskError):
                    todo[number] = client.get_node(reply.host, reply.port)
                elif isinstance(reply, UNCERTAIN):
                    raise reply
            if not todo:
                return replies
        raise exceptions.ClusterError(f"a key moved {MOVES} times while it was looked for")

    async def _nodes(self) -> Sequence[Any]:
        """The masters."""
        masters: Sequence[Any] = (await self._up_to_date()).get_primaries()
        return masters

    async def _suspect(self) -> None:
        """Something went wrong: find out about the slots before anything else is asked."""
        self._outdated = True
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        for idle in self._idle_by_name.values():
            while idle:
                await self._discard(idle.pop())

    async def _connect(self, connection: Any) -> None:
        await connection.connect()

    def _begin(self) -> None:
        self._client: Any = None
        self._outdated = False
        self._finding_out = asyncio.Lock()
        self._idle_by_name: dict[str, list[Any]] = {}

    async def _exchange_all(
        self, client: Any, requests: Sequence[Request], todo: Mapping[int, Any]
    ) -> dict[int, Any]:
        """The replies to those of `requests` that are in `todo`, with where they moved for now."""
        parts: dict[tuple[str, bool], tuple[Any, list[int]]] = {}
        for number, for_now in todo.items():
            where = requests[number].where
            node = for_now or (client.get_node_from_key(where) if type(where) is str else where)
            part = node.name, for_now is not None
            parts.setdefault(part, (node, []))[1].append(number)
        replies: dict[int, Any] = {}

        async def exchange(node: Any, numbers: Sequence[int], *, asking: bool) -> None:
            some = [requests[number] for number in numbers]
            if asking:
                some = [one for request in some for one in (ASKING, request)]
            idle = self._idle_by_name.setdefault(node.name, [])
            answers = await self._exchange(idle, functools.partial(self._new, node), some)
            replies.update(zip(numbers, answers[1::2] if asking else answers, strict=True))

        work = [
            exchange(node, numbers, asking=asking) for (_, asking), (node, numbers) in parts.items()
        ]
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            if outcome is not None:
                raise outcome
        return replies

    def _new(self, node: Any) -> Any:
        options = async_options(self.settings, self.timeout)
        return connection_class(tcp(self.settings))(host=node.host, port=node.port, **options)

    async def _up_to_date(self) -> Any:
        """The client, which knows the slots."""
        if self._client is not None and not self._outdated:
            return self._client
        async with self._finding_out:
            if self._client is None:
                self._client, self._outdated = self._new_client(), True
            if self._outdated:
                self._outdated = False  # before: who suspects something meanwhile, may be right
                nodes = self._client.nodes_manager
                try:
                    await nodes.initialize()
                except BaseException:
                    # Those that are known are of no use: begin with those that were named.
                    self._client = None
                    raise
                finally:
                    # No set: one node may be there twice, as two equal objects.
                    for node in [*nodes.nodes_cache.values(), *nodes.startup_nodes.values()]:
                        await node.disconnect()  # which is not asked again soon
            return self._client

    def _new_client(self) -> Any:
        client: Any = redis.asyncio.RedisCluster(
            startup_nodes=[
                redis.asyncio.cluster.ClusterNode(*host) for host in self.settings.hosts
            ],
            require_full_coverage=False,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            address_remap=self.settings.remap,
        )
        # The client does not take all that its connections do.
        options = async_options(self.settings, self.timeout)
        client.connection_kwargs.update(connection_class=tcp(self.settings), **options)
        nodes = client.nodes_manager
        for name, node in list(nodes.startup_nodes.items()):
            nodes.startup_nodes[name] = redis.asyncio.cluster.ClusterNode(
                node.host, node.port, **client.connection_kwargs
            )
        return client
