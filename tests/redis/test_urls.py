"""What URLs, clients of redis-py and arguments are taken for, and refused for."""

import asyncio

import pytest
import redis
import redis.asyncio
from redis.credentials import UsernamePasswordCredentialProvider
from servers.valkey import shared_cluster

from memo import cached
from memo.backends import redis as module
from memo.backends import redis_async as async_module
from memo.backends.redis import Redis
from memo.backends.redis_async import AsyncRedis
from memo.backends.resolve import adopt


def settings(url):
    """What a URL is taken for."""
    found = Redis(url).settings
    options = {name: value for name, value in found.options.items() if name != "db" or value}
    return found.kind, found.hosts, found.tls, found.service, options


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", ("single", (("localhost", 6379),), False, "", {})),
        ("redis://h", ("single", (("h", 6379),), False, "", {})),
        ("redis://h:1/2", ("single", (("h", 1),), False, "", {"db": 2})),
        ("redis://h?db=2", ("single", (("h", 6379),), False, "", {"db": 2})),
        ("redis://[::1]:7", ("single", (("::1", 7),), False, "", {})),
        (
            "redis://u:p%40@h?client_name=n",
            (
                "single",
                (("h", 6379),),
                False,
                "",
                {"username": "u", "password": "p@", "client_name": "n"},
            ),
        ),
        ("redis://:p@h", ("single", (("h", 6379),), False, "", {"password": "p"})),
        ("rediss://h", ("single", (("h", 6379),), True, "", {})),
        ("redis://h?ssl=true", ("single", (("h", 6379),), True, "", {})),
        (
            "rediss://h?ssl_cert_reqs=none",
            ("single", (("h", 6379),), True, "", {"ssl_cert_reqs": "none"}),
        ),
        (
            "redis+unix://u:p@/run/a%20b.sock?db=1",
            (
                "single",
                (),
                False,
                "",
                {"path": "/run/a b.sock", "username": "u", "password": "p", "db": 1},
            ),
        ),
        ("redis+cluster://a,b:7", ("cluster", (("a", 6379), ("b", 7)), False, "", {})),
        (
            "redis+sentinel://a,b:7/main/3",
            ("sentinel", (("a", 26379), ("b", 7)), False, "main", {"db": 3}),
        ),
    ],
)
def test_urls(url, expected):
    """A URL says where the servers are, and how to be let in."""
    assert settings(url) == expected


def test_options_of_the_backend():
    """The query says what the backend is to do; what is written in code says it louder."""
    backend = Redis("redis://h?namespace=app&socket_timeout=2s&max_connections=3")
    assert (backend.namespace, backend.socket_timeout) == ("app", 2.0)
    assert backend._servers.most == 3
    backend = Redis("redis://h?namespace=app&socket_timeout=2", namespace="b", socket_timeout=0.5)
    assert (backend.namespace, backend.socket_timeout) == ("b", 0.5)
    assert (backend.twin.namespace, backend.twin.socket_timeout) == ("b", 0.5)
    assert Redis("redis://h").namespace == "memo"
    found = Redis("redis+sentinel://h/main?sentinel_username=u&sentinel_password=p").settings
    assert found.sentinel_options == {"username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("redis://a,b", "one host"),
        ("redis://h/nonsense", "'nonsense'"),
        ("redis://h/1/2", "'1/2'"),
        ("redis://h/1?db=1", "twice"),
        ("redis://h?db=-1", "db='-1'"),
        ("redis://h?ssl_ca_certs=x", "rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "required, optional or none"),
        ("redis://h?socket_timeout=0", "socket_timeout"),
        ("redis://h?max_connections=0", "1 or more"),
        ("redis://h?max_connections=many", "1 or more"),
        ("redis://h?nonsense=1", "nonsense"),
        ("redis://h?sentinel_password=x", "sentinel"),
        ("redis+unix://", "path"),
        ("redis+unix://h/run/x.sock", "path"),
        ("redis+cluster://h/1", "database"),
        ("redis+sentinel://h", "service"),
        ("memcached://h", "redis+cluster://"),
    ],
)
def test_bad_urls(url, part):
    """A URL that cannot be is one error that shows the URL and the part."""
    with pytest.raises(ValueError, match=r"redis|memcached") as caught:
        Redis(url)
    assert part in str(caught.value)


def test_passwords_are_not_shown():
    """Neither errors nor `repr` tell a password."""
    with pytest.raises(ValueError, match="nonsense") as caught:
        Redis("redis://user:secret@h/nonsense")
    assert "secret" not in str(caught.value)
    for kind in (Redis, AsyncRedis):
        backend = kind(["redis://user:secret@h:1/2", "sentinel_password=x"][0])
        assert "secret" not in repr(backend) + repr(backend.settings)
        assert "h:1" in repr(backend)


@pytest.mark.parametrize(
    ("argument", "wrong", "error"),
    [
        ("socket_timeout", 0, ValueError),
        ("socket_timeout", "soon", ValueError),
        ("socket_timeout", True, TypeError),
        ("max_connections", 0, ValueError),
        ("max_connections", 1.5, ValueError),
        ("namespace", 7, TypeError),
    ],
)
def test_bad_arguments(argument, wrong, error):
    """An argument that cannot be is named."""
    with pytest.raises(error, match=argument):
        Redis("redis://h", **{argument: wrong})


def test_clients_of_redis_py():
    """A client's addresses, login and TLS are taken over, whatever its colour."""
    for package in (redis, redis.asyncio):
        client = package.Redis(host="h", port=1, db=2, username="u", password="p", client_name="n")
        found = Redis(client).settings
        assert (found.kind, found.hosts, found.tls) == ("single", (("h", 1),), False)
        wanted = {"db": 2, "username": "u", "password": "p", "client_name": "n"}
        assert {name: found.options[name] for name in wanted} == wanted
        client = package.Redis(host="h", ssl=True, ssl_ca_certs="x", ssl_cert_reqs="none")
        found = Redis(client).settings
        assert found.tls
        assert found.options["ssl_ca_certs"] == "x"
        client = package.Redis(unix_socket_path="/run/x.sock")
        assert Redis(client).settings.options["path"] == "/run/x.sock"
        provider = UsernamePasswordCredentialProvider("u", "p")
        client = package.Redis(host="h", credential_provider=provider)
        assert AsyncRedis(client).settings.options["credential_provider"] is provider
        manager = package.sentinel.Sentinel(
            [("a", 1), ("b", 2)], sentinel_kwargs={"password": "s"}, password="p"
        )
        found = Redis(manager.master_for("main", db=3)).settings
        assert (found.kind, found.hosts, found.service) == (
            "sentinel",
            (("a", 1), ("b", 2)),
            "main",
        )
        assert (found.options["password"], found.sentinel_options["password"]) == ("p", "s")
        with pytest.raises(ValueError, match="replicas"):
            Redis(manager.slave_for("main"))


def test_clients_of_a_cluster():
    """A cluster's client, of either colour, leads to the same keys."""
    nodes = [(node.host, node.port) for node in shared_cluster().masters]
    plain = redis.RedisCluster(host=nodes[0][0], port=nodes[0][1])
    found = Redis(plain).settings
    assert found.kind == "cluster"
    assert set(nodes) <= set(found.hosts)
    plain.close()
    found = Redis(redis.asyncio.RedisCluster(host=nodes[0][0], port=nodes[0][1])).settings
    assert (found.kind, found.hosts) == ("cluster", (nodes[0],))

    def elsewhere(where):
        return where

    client = redis.asyncio.RedisCluster(host="127.0.0.1", port=1, address_remap=elsewhere)
    assert Redis(client).settings.remap is elsewhere


class Own(redis.connection.Connection):
    """A connection of somebody's own."""


@pytest.mark.parametrize(
    ("client", "error", "part"),
    [
        (object, TypeError, "RedisCluster"),
        (redis.ConnectionPool, TypeError, "RedisCluster"),
        (lambda: redis.Redis(redis_connect_func=print), ValueError, "redis_connect_func"),
        (
            lambda: redis.Redis(ssl=True, ssl_validate_ocsp=True),
            ValueError,
            "ssl_validate_ocsp",
        ),
        (
            lambda: redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Own)),
            ValueError,
            "Own",
        ),
    ],
    ids=["no client", "a pool", "a function", "ocsp", "a class"],
)
def test_clients_that_are_refused(client, error, part):
    """What cannot be taken over of a client is an error, and not left out."""
    with pytest.raises(error, match=part):
        Redis(client())


def test_what_is_adopted(server):
    """A URL, or a client of redis-py's in a backend, serves functions of both colours."""
    backend = adopt(server.url)
    assert type(backend) is Redis
    assert adopt(server.url) is backend
    assert type(module.from_url("redis://h")) is Redis
    assert type(async_module.from_url("redis://h")) is AsyncRedis
    client = redis.Redis(host=server.host, port=server.port)
    calls = []

    @cached(ttl=60, backend=Redis(client, namespace="adopted"), name="plain")
    def double(number):
        calls.append(number)
        return 2 * number

    @cached(ttl=60, backend=Redis(client, namespace="adopted"), name="async")
    async def double_async(number):
        calls.append(number)
        return 2 * number

    async def use():
        assert [await double_async(21), await double_async(21)] == [42, 42]
        await double_async.cache_clear()

    assert [double(21), double(21)] == [42, 42]
    asyncio.run(use())
    assert calls == [21, 21]
    double.cache_clear()
    with pytest.raises(TypeError, match="async"):
        cached(ttl=60, backend=Redis(client).twin, name="plain")(lambda number: number)
    client.close()
