"""Servers that die, lie, forget or change their part; in both colours."""

import socket
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError
from servers.process import wait_until
from servers.proxy import Proxy
from servers.using_redis import both, entry, opened
from servers.valkey import Valkey


@pytest.fixture
def proxy(server):
    """A bad network before the server that all share."""
    with Proxy(server.address) as proxy:
        yield proxy


@both
def test_a_server_that_is_killed_and_comes_back(colour):
    """While it is away each call fails at once; when it is back all is well, unasked."""
    with Valkey() as server, opened(colour, server.url) as backend:
        backend.write("k", entry("value"))
        server.kill()
        for _ in range(3):
            with pytest.raises(RedisConnectionError, match=str(server.port)):
                backend.read("k")
        server.restart()
        assert backend.read("k") is None
        backend.write("k", entry("value"))
        server.restart()
        assert backend.read("k") is None


@both
def test_a_connection_closed_meanwhile_is_no_failure(colour, server):
    """A server that closes idle connections, or was restarted, is not noticed by callers."""
    with opened(colour, server.url + "?client_name=idler") as backend:
        backend.write("k", entry("value"))
        for line in server.ask("CLIENT", "LIST").decode().splitlines():
            fields = dict(field.split("=", 1) for field in line.split(" "))
            if fields["name"] == "idler":
                server.ask("CLIENT", "KILL", "ID", fields["id"])
        assert backend.read("k").value == "value"


@both
def test_a_server_that_stands_still_and_goes_on(colour):
    """What timed out is not answered to anybody else when the server goes on."""
    with Valkey() as server, opened(colour, server.url, within=0.1) as backend:
        backend.within = 10
        for number in range(10):
            backend.write(number, entry(number))
        server.stop()
        backend.within = 0.1
        for number in range(5):
            with pytest.raises(TimeoutError):
                backend.read(number)
        server.resume()
        backend.within = 10
        for number in reversed(range(10)):
            assert backend.read(number).value == number


@both
def test_answers_cut_short(colour, proxy):
    """Half an answer is none, and what is left of it reaches nobody."""
    with opened(colour, f"redis://{proxy.host}:{proxy.port}") as backend:
        for number in range(5):
            backend.write(number, entry(f"{number}" * 5000))
        for size in (1, 3, 10, 3000):
            proxy.truncate(size)
            with pytest.raises(RedisConnectionError):
                backend.read(1)
            with pytest.raises(RedisConnectionError):
                backend.read_many(range(5))
        proxy.normal()
        for number in range(5):
            assert backend.read(number).value == f"{number}" * 5000


@both
def test_connections_that_are_reset(colour, proxy):
    """A reset fails the call it hits, and no other."""
    with opened(colour, f"redis://{proxy.host}:{proxy.port}") as backend:
        backend.write("k", entry("value"))
        proxy.reset()
        for _ in range(3):
            with pytest.raises(RedisConnectionError):
                backend.read("k")
        proxy.normal()
        assert backend.read("k").value == "value"
        proxy.wait_for_connections(1)


@both
def test_a_server_that_becomes_a_replica(colour, server):
    """What a replica refuses has its connection dropped: it may not be where its name leads to."""
    with Valkey() as other, opened(colour, other.url) as backend:
        backend.write("k", entry("value"))
        other.ask("REPLICAOF", server.host, server.port)
        wait_until("the replica follows", lambda: "up" in other.ask("INFO").decode())
        before = other.info("stats")["total_connections_received"]
        for _ in range(2):
            with pytest.raises(ReadOnlyError):
                backend.write("k", entry("value"))
        after = other.info("stats")["total_connections_received"]
        assert int(after) - int(before) == 2  # one of them is that of `info`
        other.ask("REPLICAOF", "NO", "ONE")
        backend.write("k", entry("value"))
        assert backend.read("k").value == "value"


class Liar:
    """Accepts connections and answers each request with the next of some bytes."""

    def __init__(self, *answers):
        self._answers = iter(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection):
        with connection:
            while connection.recv(65536):
                try:
                    connection.sendall(next(self._answers))
                except (OSError, StopIteration):
                    return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()


@both
def test_what_was_not_asked_for_is_no_answer(colour):
    """A server that says more than it was asked for: the rest answers no other question."""
    answers = [b"$1\r\na\r\n$1\r\nb\r\n", b"$1\r\nc\r\n", b"$1\r\nd\r\n$1\r", b"$1\r\ne\r\n"]
    with Liar(*answers) as liar, opened(colour, liar.url) as backend:
        assert [backend.read_bytes(name) for name in "acde"] == [b"a", b"c", b"d", b"e"]


@both
@pytest.mark.parametrize(
    "answer",
    [b":1\r\n", b"*1\r\n$1\r\na\r\n", b"nonsense\r\n", b"$x\r\n"],
    ids=["number", "list", "nonsense", "no length"],
)
def test_an_answer_of_another_kind_is_a_failure(colour, answer):
    """What is no text is not taken for a value."""
    with (
        Liar(answer) as liar,
        opened(colour, liar.url) as backend,
        pytest.raises((InvalidResponse, RedisConnectionError, ValueError)),
    ):
        backend.read_bytes("k")
