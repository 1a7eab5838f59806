"""Servers that die, hang, drip and lie: an error in time, never a wrong answer, and recovery."""

import itertools
import signal
import socket
import threading
import time

import pytest
from memcached.colours import both, entry, namespaces, opened
from memcached.liar import Liar, deaf
from servers.memcached import Memcached as Server
from servers.process import wait_until

from memo.backends.memcached import Memcached

SOON = 0.1  # seconds that a call may take where it must not succeed


def fails(plain, method, *args):
    """Call `method`, which gets little time, and return what it raises."""
    is_sync = isinstance(plain.backend, Memcached)
    more = {"deadline": time.monotonic() + SOON} if is_sync else {"within": SOON}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        getattr(plain, method)(*args, **more)
    return caught.value


@both
def test_a_killed_server_is_an_error_and_a_new_one_is_used_at_once(colour):
    """No call fails after the restart, not even the first, which meets a connection long dead."""
    with Server() as server, opened(colour, server) as backend:
        backend.write("k", entry("value"))
        server.kill()
        for method in ("read", "delete", "clear", "ping"):
            error = fails(backend, method, *(["k"] if method in {"read", "delete"} else []))
            assert isinstance(error, ConnectionRefusedError), error
        assert isinstance(fails(backend, "write", "k", entry("lost")), ConnectionRefusedError)
        server.restart()
        assert backend.read("k") is None
        backend.write("k", entry("new"))
        assert backend.read("k").value == "new"
        server.restart()
        assert backend.read("k") is None


@both
def test_a_stopped_server_is_an_error_in_time_and_is_itself_afterwards(colour):
    """Every operation times out; resumed, it gives each key its own value."""
    with Server() as server, opened(colour, server) as backend:
        for key in "abc":
            backend.write(key, entry(key))
        server.stop()
        for method, *args in (
            ("read", "a"),
            ("read_many", ["b", "c"]),
            ("delete", "d"),
            ("write", "e", entry("e")),
            ("write_many", {"f": entry("f")}),
            ("clear_scope", "scope"),
            ("ping",),
        ):
            error = fails(backend, method, *args)
            assert isinstance(error, TimeoutError), (method, error)
        server.resume()
        for key in "abcabc":
            assert backend.read(key).value == key


@both
def test_the_answer_to_a_read_that_timed_out_reaches_nobody(colour):
    """The server answers late, when others ask for other keys."""
    release = threading.Event()
    tokens = {}

    def answer(connection, request):
        for line in request.split(b"\r\n"):
            if line.startswith(b"get "):
                if b"late" not in tokens:
                    tokens[b"late"] = True
                    release.wait(20)
                connection.sendall(b"END\r\n")

    with Liar(answer) as liar, opened(colour, liar) as backend:
        assert isinstance(fails(backend, "read", "first"), TimeoutError)
        threading.Timer(0.02, release.set).start()
        assert [backend.read(key) for key in "abc"] == [None, None, None]
        assert liar.connected == 2


@both
def test_a_dripping_server_does_not_stretch_the_deadline(colour):
    """A byte now and then for ever: the call ends all the same."""

    def answer(connection, _request):
        for byte in itertools.cycle(b"VALUE"):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    with Liar(answer) as liar, opened(colour, liar) as backend:
        began = time.monotonic()
        assert isinstance(fails(backend, "read", "k"), TimeoutError)
        assert time.monotonic() - began < 10


@both
def test_a_dripped_value_does_not_stretch_the_deadline(colour):
    """As above, in the middle of a value."""

    def answer(connection, request):
        key = request.split()[-1]
        connection.sendall(b"VALUE %b 0 1000000\r\n" % key)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    with Liar(answer) as liar, opened(colour, liar) as backend:
        assert isinstance(fails(backend, "read", "k"), TimeoutError)


@both
def test_a_server_that_does_not_read_does_not_stretch_the_deadline(colour):
    """A megabyte cannot be sent to it: the call ends all the same."""

    def answer(connection, request):
        if request.startswith(b"get"):
            lines = [b"VALUE %b 0 8\r\nAAAAAAAA\r\n" % key for key in request.split()[1:]]
            connection.sendall(b"".join(lines) + b"END\r\n")
            threading.Event().wait(3 * SOON)

    with Liar(answer) as liar, opened(colour, liar) as backend:
        error = fails(backend, "write", "k", entry(b"\xff" * 50_000_000))
        assert isinstance(error, TimeoutError)


@both
def test_a_connection_that_is_never_made_does_not_stretch_the_deadline(colour):
    """Nobody answers at the port: the call ends all the same."""
    with deaf() as server, opened(colour, server) as backend:
        assert isinstance(fails(backend, "read", "k"), TimeoutError)


@both
def test_a_name_server_that_keeps_silent_does_not_stretch_the_deadline(colour, monkeypatch):
    """Looking up the host takes as long as it likes, and nobody waits for it."""
    silent, release = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def slow(host, *args, **more):
        if host == "slow.example" and not more.get("flags"):
            silent.set()
            release.wait(20)
            raise socket.gaierror("told to go on")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    class Named:
        where = "slow.example"

    with opened(colour, Named) as backend:
        assert isinstance(fails(backend, "read", "k"), TimeoutError)
        assert silent.is_set()
        release.set()


def test_a_host_with_several_addresses_is_found_at_any(server, monkeypatch):
    """One address that refuses is not the end of it."""
    real = socket.getaddrinfo
    dead = ("127.0.0.1", 1)

    def two(host, port, *args, **more):
        found = real(host, port, *args, **more)
        return [(*found[0][:4], dead), *found]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with opened(Memcached, server) as backend:
        backend.write("k", entry("value"), deadline=time.monotonic() + 10)
        assert backend.read("k").value == "value"


LIES = {
    "another key": lambda key: b"VALUE other 0 1\r\nx\r\nEND\r\n",
    "no key": lambda key: b"VALUE\r\nEND\r\n",
    "no size": lambda key: b"VALUE %b 0 x\r\nEND\r\n" % key,
    "not so long": lambda key: b"VALUE %b 0 900000\r\nEND\r\n" % key,
    "longer": lambda key: b"VALUE %b 0 2\r\nxyz123\r\nEND\r\n" % key,
    "noise": lambda key: bytes(range(256)) * 20,
    "an error": lambda key: b"ERROR\r\n",
    "the client's error": lambda key: b"CLIENT_ERROR line too long\r\n",
    "the server's error": lambda key: b"SERVER_ERROR out of memory writing get response\r\n",
    "stored": lambda key: b"STORED\r\n",
    "nothing": lambda key: b"",
}


@both
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_an_error_and_ends_the_connection(colour, lie):
    """What is no answer to the question is never a value, nor a miss, nor does it confuse more."""
    honest = threading.Event()

    def answer(connection, request):
        key = request.split()[-1]
        connection.sendall(b"END\r\n" if honest.is_set() else LIES[lie](key))
        return lie == "nothing" and not honest.is_set()

    with Liar(answer) as liar, opened(colour, liar) as backend:
        error = fails(backend, "read", "k")
        assert isinstance(error, Exception)
        honest.set()
        assert backend.read("k") is None


@both
def test_an_answer_too_many_confuses_nobody(colour):
    """What was said without being asked for is noticed, and that connection not used again."""
    more = threading.Event()

    def answer(connection, request):
        connection.sendall(b"END\r\n")
        assert more.wait(20)
        more.clear()
        connection.sendall(b"VALUE %b 0 1\r\nx\r\nEND\r\n" % request.split()[-1])

    with Liar(answer) as liar, opened(colour, liar) as backend:
        for number in range(5):
            assert backend.read(number) is None
            (idle,) = backend._store._connections._idle.values()
            more.set()
            wait_until("more has come", lambda idle=idle: not idle[-1].sock.silent)
        assert liar.connected == 5


@both
def test_a_dead_server_is_an_error_for_its_keys_only(colour):
    """Of two servers one is killed: the other's keys are read, written and cleared as ever."""
    with Server() as dead, Server() as alive, opened(colour, dead, alive) as backend:
        lost, kept = backend.key_on(dead), backend.key_on(alive)
        other = backend.key_on(alive, "other")
        for key in (lost, kept):
            backend.write(key, entry(key))
        dead.kill()
        assert isinstance(fails(backend, "read", lost), ConnectionRefusedError)
        assert backend.read(kept).value == kept
        assert backend.read_many([kept, other]).keys() == {kept}
        assert isinstance(fails(backend, "read_many", [kept, lost]), ConnectionRefusedError)
        many = {lost: entry("new"), other: entry("new")}
        assert isinstance(fails(backend, "write_many", many), ConnectionRefusedError)
        assert backend.read(other).value == "new"
        assert isinstance(fails(backend, "clear"), ConnectionRefusedError)
        assert backend.read(kept) is None
        dead.restart()
        assert backend.read(lost) is None
        backend.write(lost, entry("back"))
        assert backend.read(lost).value == "back"


@both
def test_a_hung_server_leaves_time_for_the_others(colour):
    """Of two servers one hangs: clearing and writing both still reach the other."""
    with Server() as hung, Server() as alive, opened(colour, hung, alive) as backend:
        lost, kept = backend.key_on(hung), backend.key_on(alive)
        other = backend.key_on(alive, "other")
        for key in (lost, kept):
            backend.write(key, entry(key))
        hung.stop()
        for _ in range(8):
            assert isinstance(fails(backend, "read", lost), TimeoutError)
            assert backend.read(kept).value == kept
        many = {lost: entry("new"), other: entry("new")}
        assert isinstance(fails(backend, "write_many", many), TimeoutError)
        assert backend.read(other).value == "new"
        assert isinstance(fails(backend, "clear"), TimeoutError)
        assert backend.read(kept) is None
        hung.resume()


def test_an_interrupt_in_the_middle_leaves_no_answer_to_the_next():
    """A signal handler raises while an answer is awaited; what comes then is nobody's."""

    class Interrupt(BaseException):
        pass

    def interrupt(*_):
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Server() as server, opened(Memcached, server) as backend:
            for key in "ab":
                backend.write(key, entry(key))
            server.stop()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupt):
                backend.read("a")
            server.resume()
            for key in "baba":
                assert backend.read(key).value == key
            assert server.connections == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_threads_have_connections_to_themselves(server):
    """Many at once, each key its own value, and what is kept afterwards is used again."""
    backend = Memcached(server.where, namespace=namespaces())
    wrong = []

    def work(number):
        for turn in range(50):
            backend.write(number, entry((number, turn)))
            if backend.read(number).value != (number, turn):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(backend._store._connections._open) <= 16
    backend.close()
