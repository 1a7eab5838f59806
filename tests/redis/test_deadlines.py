"""Blocking calls end at their deadline in truth, whatever it is that a server takes its time for.

Each test has a server that would take ten times as long as is waited for here, if it were let.
"""

import contextlib
import socket
import threading
import time

import pytest
from servers.proxy import Proxy
from servers.tls import TlsFront
from servers.using_redis import entry, namespaces, opened
from servers.valkey import Valkey, shared_valkey

from memo.backends.redis import Redis

SHORT = 0.2
#: Seconds within which a call that ends after SHORT is over, on however busy a machine.
SOON = 5.0


@contextlib.contextmanager
def cut_off():
    """The block raises TimeoutError, neither at once nor much later than after SHORT."""
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        yield
    assert time.monotonic() - start < SOON


def soon():
    """The deadline of a call that is to be cut off."""
    return time.monotonic() + SHORT


@pytest.fixture
def proxy(server):
    """A bad network before the server that all share."""
    with Proxy(server.address) as proxy:
        yield proxy


@pytest.fixture
def backend(proxy):
    """A blocking backend behind the proxy."""
    with opened(Redis, f"redis://{proxy.host}:{proxy.port}") as plain:
        yield plain.backend


def test_an_answer_that_drips(proxy, backend):
    """Each byte in time does not make the answer be in time."""
    backend.write("k", entry("x" * 1000))
    proxy.drip(0.15)
    for call in (
        lambda: backend.read("k", deadline=soon()),
        lambda: backend.read_many(["k", "other"], deadline=soon()),
        lambda: backend.write("k2", entry(1), deadline=soon()),
        lambda: backend.write_many({n: entry(1) for n in range(5)}, deadline=soon()),
        lambda: backend.delete("none", deadline=soon()),
        lambda: backend.clear_scope("none", deadline=soon()),
        lambda: backend.ping(deadline=soon()),
    ):
        with cut_off():
            call()
    proxy.normal()
    assert backend.read("k", deadline=time.monotonic() + 10).value == "x" * 1000
    proxy.wait_for_connections(1)


def test_a_deadline_that_has_passed(backend):
    """Nothing is even sent when the time is up."""
    with cut_off():
        backend.read("k", deadline=time.monotonic() - 1)


def test_a_server_that_stands_still():
    """Neither an answer that does not come, nor a value that is not taken, stretches a call."""
    with Valkey() as server, opened(Redis, server.url) as plain:
        plain.write("k", entry("value"))
        server.stop()
        for _ in range(3):
            with cut_off():
                plain.backend.read("k", deadline=soon())
        large = b"\xff" * 50_000_000
        with cut_off():
            plain.backend.write_bytes("large", large, entry(1), soon())
        server.resume()
        assert plain.read("k").value == "value"


def test_without_a_deadline_each_wait_has_a_limit(proxy):
    """Who sets no deadline waits for `socket_timeout`."""
    url = f"redis://{proxy.host}:{proxy.port}?socket_timeout={SHORT}"
    with opened(Redis, url) as plain:
        plain.write("k", entry("value"))
        proxy.hang()
        with cut_off():
            plain.backend.read("k")
        with cut_off():
            plain.backend.write("k", entry("other"))


def test_logging_in():
    """A server that accepts and does not answer to the login is not waited for."""
    with (
        Valkey(user=("someone", "secret")) as server,
        Proxy(server.address) as proxy,
        opened(Redis, f"redis://someone:secret@{proxy.host}:{proxy.port}/2") as plain,
    ):
        for way in (proxy.hang, lambda: proxy.drip(0.5)):
            way()
            with cut_off():
                plain.backend.read("k", deadline=soon())
        proxy.normal()
        plain.write("k", entry("value"))
        assert plain.read("k").value == "value"


def test_shaking_hands(server):
    """A TLS handshake that drips is cut off."""
    with TlsFront(server.address) as front, Proxy((front.host, front.port)) as proxy:
        url = f"rediss://{proxy.host}:{proxy.port}?ssl_ca_certs={front.ca}"
        with opened(Redis, url) as plain:
            proxy.drip(0.05)
            with cut_off():
                plain.backend.read("k", deadline=soon())
            proxy.normal()
            plain.write("k", entry("x" * 1000))
            proxy.drip(0.05)
            with cut_off():
                plain.backend.read("k", deadline=soon())
            proxy.normal()
            assert plain.read("k").value == "x" * 1000


def test_finding_out_about_a_cluster(proxy):
    """Nodes that do not tell who has which slots are not waited for."""
    url = f"redis+cluster://{proxy.host}:{proxy.port}"
    with opened(Redis, url) as plain:
        for way in (proxy.hang, lambda: proxy.drip(0.5)):
            way()
            with cut_off():
                plain.backend.read("k", deadline=soon())


def test_waiting_for_a_connection(proxy):
    """Who finds all connections in use waits for one, until the deadline and no longer."""
    url = f"redis://{proxy.host}:{proxy.port}"
    with opened(Redis, url, max_connections=1) as plain:
        plain.write("k", entry("value"))
        proxy.hang()
        before = proxy.requested
        first = threading.Thread(target=lambda: plain.read("k"))
        first.start()
        proxy.wait_until("the first has asked", lambda proxy: proxy.requested > before)
        with cut_off():
            plain.backend.read("k", deadline=soon())
        second = threading.Thread(target=lambda: found.append(plain.read("k")))
        found = []
        second.start()
        proxy.normal()
        first.join()
        second.join()
        assert found[0].value == "value"


def test_a_name_that_is_not_found_in_time(monkeypatch):
    """The system's resolver may take as long as it likes; the call does not."""
    asked, answer = threading.Event(), threading.Event()
    real = socket.getaddrinfo
    server = shared_valkey()

    def slow(host, *args, **more):
        if host == "slow.example":
            asked.set()
            answer.wait(60)
            return real("127.0.0.1", *args, **more)
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    namespace = namespaces()
    with opened(Redis, f"redis://slow.example:{server.port}", namespace=namespace) as plain:
        with cut_off():
            plain.backend.read("k", deadline=soon())
        assert asked.is_set()
        answer.set()
        assert plain.read("k") is None
