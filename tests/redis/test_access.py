"""TLS, users that may do little, passwords, databases; in both colours."""

import pytest
from redis import Redis as Client
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError
from servers.tls import TlsFront
from servers.using_redis import both, entry, opened
from servers.valkey import Valkey

#: What a user must be allowed, on one server.
RIGHTS = "+get +mget +set +unlink +scan +ping +select +client|setname"


@pytest.fixture(scope="module")
def front():
    """TLS before a server of its own."""
    with Valkey() as server, TlsFront(server.address) as front:
        yield front


def where(front, **options):
    """The URL of a TLS front."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"rediss://{front.host}:{front.port}?{query}"


@both
def test_tls(colour, front):
    """Values large and small come through TLS."""
    with opened(colour, where(front, ssl_ca_certs=front.ca)) as backend:
        for size in (0, 1, 20_000, 3_000_000):
            backend.write(size, entry("x" * size))
            assert backend.read(size).value == "x" * size
        assert len(backend.read_many([0, 1, 20_000])) == 3
        backend.clear()


@both
def test_tls_from_a_client(colour, front):
    """A client's TLS is taken over."""
    client = Client(host=front.host, port=front.port, ssl=True, ssl_ca_certs=str(front.ca))
    with opened(colour, client) as backend:
        backend.write("k", entry("value"))
        assert backend.read("k").value == "value"
    client.close()


@both
@pytest.mark.parametrize("why", ["unknown", "another host"])
def test_whom_tls_does_not_vouch_for(colour, front, why):
    """A server whose certificate nobody vouches for, or is another's, is not spoken to."""
    options = {} if why == "unknown" else {"ssl_ca_certs": front.ca}
    url = where(front, **options)
    if why == "another host":
        url = url.replace("127.0.0.1", "127.0.0.2")
    with opened(colour, url) as backend, pytest.raises(RedisConnectionError):
        backend.read("k")


@both
def test_tls_that_trusts_everybody(colour, front):
    """Where that is asked for, certificates are not looked at."""
    with opened(colour, where(front, ssl_cert_reqs="none")) as backend:
        backend.write("k", entry("value"))
        assert backend.read("k").value == "value"


@both
def test_a_user_who_may_do_little(colour):
    """A user who may use the keys of a namespace, and what a cache needs, is enough."""
    with Valkey() as server:
        rules = f"on >secret ~app:* resetchannels -@all {RIGHTS}"
        server.ask("ACL", "SETUSER", "cache", *rules.split())
        url = f"redis://cache:secret@{server.where}/3?client_name=cache"
        with opened(colour, url, namespace="app") as backend:
            backend.write("k", entry("value"))
            backend.write_many({n: entry(n) for n in range(3)})
            assert backend.read("k").value == "value"
            assert len(backend.read_many(["k", 1])) == 2
            assert backend.delete("k") is True
            backend.ping()
            backend.clear()
            assert backend.read(1) is None
        with opened(colour, url, namespace="other") as backend, pytest.raises(NoPermissionError):
            backend.read("k")


@both
def test_a_wrong_password(colour):
    """Who is not let in is told so, each time, and gets in once the password is right."""
    with Valkey() as server:
        server.ask("CONFIG", "SET", "requirepass", "right")
        for login in (":wrong@", "nobody:right@", ""):
            with (
                opened(colour, f"redis://{login}{server.where}") as backend,
                pytest.raises(AuthenticationError),
            ):
                backend.read("k")
        with opened(colour, f"redis://:right@{server.where}/1") as backend:
            backend.write("k", entry("value"))
            assert backend.read("k").value == "value"


@both
def test_databases(colour, server):
    """The number of a database is that where the keys are."""
    with (
        opened(colour, f"redis://{server.where}/5", namespace="databases") as five,
        opened(colour, f"redis://{server.where}/6", namespace="databases") as six,
    ):
        five.write("k", entry(5))
        six.write("k", entry(6))
        assert (five.read("k").value, six.read("k").value) == (5, 6)
        five.clear()
        assert six.read("k").value == 6
        six.clear()


@both
def test_a_database_that_is_not_there(colour, server):
    """No key ever goes into another database than was asked for."""
    with opened(colour, f"redis://{server.where}/999") as backend:
        for _ in range(3):
            with pytest.raises(Exception, match="out of range"):
                backend.write("k", entry("value"))
        assert server.ask("EXISTS", backend.name("k")) == 0
