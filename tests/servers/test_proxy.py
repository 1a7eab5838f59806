"""The proxy is bad in just the way that it was told to be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import socketserver
import threading
import time
from pathlib import Path

import pytest
from servers.process import wait_until
from servers.proxy import Proxy


class Answer(socketserver.BaseRequestHandler):
    """Says what it hears."""

    def handle(self):
        self.server.peers.append(self.request)
        with contextlib.suppress(ConnectionError):
            while data := self.request.recv(65536):
                self.server.heard += data
                self.request.sendall(data)


class Echo(socketserver.ThreadingTCPServer):
    """Remembers what it was asked, and by whom."""

    allow_reuse_address = True
    daemon_threads = False

    def __init__(self):
        self.heard = b""
        self.peers = []
        super().__init__(("127.0.0.1", 0), Answer)


@pytest.fixture
def echo():
    """A server on a thread of its own."""
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo):
    """A proxy before it."""
    with Proxy(echo.server_address) as made:
        yield made


@contextlib.contextmanager
def connected(proxy):
    """A client's connection."""
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as client:
        yield client


def received(client, size):
    """Exactly so many bytes, or less where the connection ends."""
    got = b""
    while len(got) < size and (more := client.recv(size - len(got))):
        got += more
    return got


def test_a_proxy_passes_everything_on(proxy):
    """Of many clients at once, small and large."""
    large = os.urandom(3_000_000)
    with connected(proxy) as one, connected(proxy) as other:
        proxy.wait_for_connections(2)
        other.sendall(b"small")
        sender = threading.Thread(target=one.sendall, args=(large,))
        sender.start()
        assert received(one, len(large)) == large
        sender.join()
        assert received(other, 5) == b"small"
        assert proxy.accepted == 2
    proxy.wait_for_connections(0)
    assert proxy.requested == proxy.answered == len(large) + 5


def test_a_delay_holds_each_answer_back(proxy):
    """For that long at least; going back to normal lets it through at once."""
    proxy.delay(0.05)
    with connected(proxy) as client:
        start = time.monotonic()
        client.sendall(b"a")
        assert received(client, 1) == b"a"
        assert time.monotonic() - start >= 0.05
        proxy.delay(3600)
        client.sendall(b"b")
        proxy.wait_until("an answer", lambda proxy: proxy.answered == 2)
        proxy.normal()
        assert received(client, 1) == b"b"


def test_a_drip_is_one_byte_at_a_time(proxy):
    """And nothing is lost by it."""
    proxy.drip(3600)
    with connected(proxy) as client:
        client.sendall(b"abcdef")
        assert client.recv(100) == b"a"
        proxy.drip(0.001)
        start = time.monotonic()
        assert received(client, 5) == b"bcdef"
        assert time.monotonic() - start >= 0.004
        proxy.drip(3600)
        client.sendall(b"ghi")
        assert client.recv(100) == b"g"
        proxy.normal()
        assert received(client, 2) == b"hi"


def test_a_hanging_proxy_accepts_and_passes_nothing_on(proxy, echo):
    """Either way, before or after it was connected; later all of it arrives."""
    with connected(proxy) as before:
        before.sendall(b"a")
        assert received(before, 1) == b"a"
        proxy.hang()
        with connected(proxy) as after:
            before.sendall(b"b")
            after.sendall(b"c")
            proxy.wait_until("the requests", lambda proxy: proxy.requested == 3)
            with connected(proxy):
                proxy.wait_for_connections(3)
            proxy.wait_for_connections(2)  # that a client goes is seen all the same
            assert echo.heard == b"a"
            proxy.normal()
            assert received(before, 1) == b"b"
            assert received(after, 1) == b"c"


def test_swallowed_answers_never_come(proxy, echo):
    """The server has heard and answered, and later answers come through."""
    with connected(proxy) as client:
        proxy.swallow()
        client.sendall(b"a")
        proxy.wait_until("the answer", lambda proxy: proxy.answered == 1)
        proxy.normal()
        client.sendall(b"b")
        assert received(client, 1) == b"b"
        assert echo.heard == b"ab"


def test_a_reset_is_one(proxy):
    """For connections that are there, and for new ones as soon as they ask for something."""
    with connected(proxy) as before:
        before.sendall(b"a")
        assert received(before, 1) == b"a"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            before.recv(1)
    with connected(proxy) as after:
        after.sendall(b"a")
        with pytest.raises(ConnectionResetError):
            after.recv(1)
    proxy.wait_for_connections(0)
    proxy.normal()
    with connected(proxy) as again:
        again.sendall(b"a")
        assert received(again, 1) == b"a"


def test_a_truncated_answer_ends_early(proxy):
    """After so many bytes the connection is closed."""
    proxy.truncate(2)
    with connected(proxy) as client:
        client.sendall(b"abc")
        assert received(client, 3) == b"ab"
        proxy.wait_for_connections(0)


def test_a_flip_turns_one_bit(proxy):
    """Of each chunk, the same one for the same seed; of none at a rate of 0."""
    turned = []
    for rate in (1, 1, 0):
        proxy.flip(seed=4, rate=rate)
        with connected(proxy) as client:
            client.sendall(bytes(100))
            turned.append(int.from_bytes(received(client, 100)))
    assert turned[0].bit_count() == 1
    assert turned == [turned[0], turned[0], 0]


def test_a_refusing_proxy_is_not_there(proxy):
    """What is open is closed, nobody can connect, and afterwards it is where it was."""
    with connected(proxy) as before:
        proxy.wait_for_connections(1)
        proxy.refuse()
        assert before.recv(1) == b""
    with pytest.raises(ConnectionRefusedError), connected(proxy):
        pass
    proxy.normal()
    with connected(proxy) as again:
        again.sendall(b"a")
        assert received(again, 1) == b"a"


@pytest.mark.parametrize("way", ["normal", "hang", "swallow"])
def test_a_server_that_goes_is_seen_unless_nothing_is(proxy, echo, way):
    """Its goodbye is passed on, held back or swallowed, as its answers are."""
    with connected(proxy) as client:
        client.sendall(b"a")
        assert received(client, 1) == b"a"
        getattr(proxy, way)()
        echo.peers[0].shutdown(socket.SHUT_RDWR)
        proxy.wait_until("the goodbye", lambda proxy: proxy.upstream == 0)
        assert way == "normal" or proxy.connections == 1
        proxy.normal()
        if way == "swallow":
            client.sendall(b"b")  # and is told only now
        assert client.recv(1) == b""


def test_without_a_server_connections_are_closed():
    """The proxy itself is there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        with Proxy(unused.getsockname()) as proxy, connected(proxy) as client:
            assert client.recv(1) == b""
            proxy.wait_for_connections(0)


def open_files():
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_stays_behind(echo):
    """No thread and no socket, whatever the proxy was doing and whoever is connected."""
    before = threading.active_count(), open_files()
    for way in ("normal", "hang", "swallow", "reset", "refuse"):
        with contextlib.ExitStack() as clients, Proxy(echo.server_address) as proxy:
            for _ in range(10):
                clients.enter_context(connected(proxy)).sendall(b"a" * 1_000)
            proxy.wait_until("the requests", lambda proxy: proxy.requested == 10_000)
            getattr(proxy, way)()
    wait_until("all gone", lambda: (threading.active_count(), open_files()) == before)


def test_async_clients_are_served(proxy):
    """The proxy has a loop of its own, and its methods may be called from another."""

    async def main():
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        for size in range(1, 100):
            writer.write(b"a" * size)
            assert await reader.readexactly(size) == b"a" * size
        proxy.truncate(1)
        writer.write(b"ab")
        assert await reader.read() == b"a"
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())
    proxy.wait_for_connections(0)
