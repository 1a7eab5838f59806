"""The settings of a client of redis-py: where its servers are, TLS, and how it is let in.

Nothing else of the client is used: not its connections, which know no deadline, nor its timeouts
and retries, which are made for other purposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.connection
import redis.sentinel

from ..errors import shown
from .redis_settings import PORT, Settings

__all__ = ["settings_of"]

_SINGLE: Final = (redis.Redis, redis.asyncio.Redis)
_CLUSTER: Final = (redis.RedisCluster, redis.asyncio.RedisCluster)
_SENTINEL: Final = (
    redis.sentinel.SentinelConnectionPool,
    redis.asyncio.sentinel.SentinelConnectionPool,
)
_TLS: Final = (redis.connection.SSLConnection, redis.asyncio.connection.SSLConnection)
#: Whose behaviour is known: a class of somebody's own could do anything.
_CONNECTIONS: Final = (
    *_TLS,
    redis.connection.Connection,
    redis.connection.UnixDomainSocketConnection,
    redis.asyncio.connection.Connection,
    redis.asyncio.connection.UnixDomainSocketConnection,
    redis.sentinel.SentinelManagedConnection,
    redis.sentinel.SentinelManagedSSLConnection,
    redis.asyncio.sentinel.SentinelManagedConnection,
    redis.asyncio.sentinel.SentinelManagedSSLConnection,
)
_TAKEN: Final = frozenset(
    {"client_name", "credential_provider", "db", "password", "path", "username"}
    | {"ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile"}
    | {"ssl_check_hostname", "ssl_ciphers", "ssl_exclude_verify_flags"}
    | {"ssl_include_verify_flags", "ssl_keyfile", "ssl_min_version", "ssl_password"}
    | {"socket_keepalive", "socket_keepalive_options"}
)
#: What would be missed, and cannot be had in both colours.
_REFUSED: Final = ("redis_connect_func", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled")


def settings_of(client: Any) -> Settings:
    """The settings of `client`.

    Raises:
        TypeError: it is no client of redis-py's.
        ValueError: it is made with something that is not supported here.
    """
    if isinstance(client, _CLUSTER):
        return _of_cluster(client)
    if not isinstance(client, _SINGLE):
        raise TypeError(
            f"backend={shown(client)}: takes a URL, or a Redis or RedisCluster of redis-py's"
        )
    pool: Any = client.connection_pool
    options, tls = _options(client, pool.connection_kwargs, pool.connection_class)
    if not isinstance(pool, _SENTINEL):
        place = () if "path" in options else (_place(pool.connection_kwargs),)
        return Settings("single", place, options, tls)
    if not pool.is_master:
        _refuse(client, "is for replicas; takes a client for the primary")
    pools = [one.connection_pool for one in pool.sentinel_manager.sentinels]
    sentinel_options, sentinel_tls = _options(
        client, pools[0].connection_kwargs, pools[0].connection_class
    )
    if sentinel_tls is not tls:
        _refuse(client, "speaks TLS with servers or with sentinels only; takes both or neither")
    hosts = tuple(_place(one.connection_kwargs) for one in pools)
    service = str(pool.service_name)
    return Settings("sentinel", hosts, options, tls, service, sentinel_options)


def _of_cluster(client: Any) -> Settings:
    nodes: Any = client.nodes_manager
    if isinstance(client, redis.RedisCluster):
        given = {**nodes.connection_kwargs, "redis_connect_func": client.user_on_connect_func}
    else:
        given = client.connection_kwargs
    options, tls = _options(client, given, given.get("connection_class"))
    hosts = tuple((node.host, int(node.port)) for node in nodes.startup_nodes.values())
    options.pop("db", None)
    return Settings("cluster", hosts, options, tls, remap=nodes.address_remap)


def _place(given: Mapping[str, Any]) -> tuple[str, int]:
    return given.get("host") or "localhost", int(given.get("port") or PORT)


def _options(client: Any, given: Mapping[str, Any], kind: Any) -> tuple[dict[str, Any], bool]:
    """What is taken over of what a client's connections are made with, and whether it is TLS."""
    for name in _REFUSED:
        if given.get(name):
            _refuse(client, f"is made with {name}, which is not supported")
    if kind is not None and kind not in _CONNECTIONS:
        _refuse(client, f"is made with connections of its own ({kind.__name__})")
    tls = bool(given.get("ssl")) or (kind is not None and issubclass(kind, _TLS))
    options = {
        name: value
        for name, value in given.items()
        if name in _TAKEN and value is not None and (tls or not name.startswith("ssl_"))
    }
    return options, tls


def _refuse(client: Any, why: str) -> None:
    raise ValueError(f"backend={shown(client)}: {why}")
