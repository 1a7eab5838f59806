"""The token server and its clients, over real connections."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from memo.demo.client import AsyncClient, Client, RefusedError
from memo.demo.server import TokenServer, messages_of
from memo.demo.tokens import Token, sign


@pytest.fixture
def server():
    """A server in no hurry to be slow."""
    with TokenServer(slow=(0.0, 0.0)) as server:
        yield server


@pytest.fixture
def client(server):
    """A client of it."""
    with Client(server.port) as client:
        yield client


def token_of(text):
    """A token as a client would keep it, with `text` as the signed part."""
    return Token("ada", text, time.time() + 60)


def test_a_token_opens_its_users_inbox(server, client):
    """The inbox is that of the user the token was issued to, and the log has both requests."""
    token = client.issue("ada", 60.0)
    assert client.inbox(token) == {"user": "ada", "messages": messages_of("ada")}
    log = server.log()
    assert (log.issued, log.served, log.refused.total()) == ({"ada": 1}, 1, 0)


def test_a_token_ends_no_later_than_the_server_says(client):
    """What the client takes for the end of a token is at most its lifetime after the question."""
    before = time.time()
    token = client.issue("ada", 60.0)
    assert before + 60 <= token.expires_at <= time.time() + 60
    assert client.issue("ada").expires_in <= 1.5


def test_an_expired_token_is_refused(server, client):
    """A token past its time opens nothing, and the log has the reason."""
    token = client.issue("ada", 0.0)
    with pytest.raises(RefusedError, match="401: expired"):
        client.inbox(token)
    assert server.log().refused == {"expired": 1}
    assert server.log().served == 0


def test_a_forged_token_is_refused(server, client):
    """A token signed with another secret opens nothing, and the log has the reason."""
    with pytest.raises(RefusedError, match="401: signature"):
        client.inbox(token_of(sign("ada", time.time() + 60, b"a thief's")))
    assert server.log().refused == {"signature": 1}


@pytest.mark.parametrize("text", ["", "nonsense", "a.b.c"])
def test_nonsense_is_refused(server, client, text):
    """What is no token opens nothing, and the connection stays of use."""
    with pytest.raises(RefusedError, match="401: malformed"):
        client.inbox(token_of(text))
    assert client.inbox(client.issue("ada", 60.0))["user"] == "ada"


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/token", {}, 400),
        ("/token", {"user": "ada", "lifetime": "long"}, 400),
        ("/elsewhere", {"user": "ada"}, 404),
        ("/elsewhere", None, 404),
        ("/inbox", None, 401),
    ],
)
def test_requests_that_make_no_sense(server, path, form, status):
    """A request that cannot be answered gets the status that says so, and a body in JSON."""
    body = None if form is None else urllib.parse.urlencode(form).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"http://127.0.0.1:{server.port}{path}", body, timeout=10)
    with refused.value as answer:
        assert answer.code == status
        assert "error" in json.load(answer)
    assert server.log().issued.total() == 0


def test_issuing_takes_its_time():
    """The token endpoint is as slow as it was told to be."""
    with TokenServer(slow=(0.05, 0.06)) as server, Client(server.port) as client:
        started = time.perf_counter()
        client.issue("ada")
        assert time.perf_counter() - started >= 0.05


def test_many_threads_share_a_client(server, client):
    """Eight threads on one client each get the answers to their own questions, all logged."""
    answers = {}

    def work(user):
        token = client.issue(user, 60.0)
        answers[user] = [client.inbox(token) for _ in range(20)]

    users = [f"user {number}" for number in range(8)]
    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {user: [{"user": user, "messages": messages_of(user)}] * 20 for user in users}
    assert server.log().served == 160
    assert server.log().issued == dict.fromkeys(users, 1)


def test_many_tasks_share_a_client(server):
    """The same on an event loop; a refusal there is the same error."""

    async def main():
        async with AsyncClient(server.port) as client:

            async def work(user):
                token = await client.issue(user, 60.0)
                return [await client.inbox(token) for _ in range(5)]

            users = [f"user {number}" for number in range(20)]
            answers = await asyncio.gather(*(work(user) for user in users))
            assert [answer[0]["user"] for answer in answers] == users
            with pytest.raises(RefusedError, match="401: malformed"):
                await client.inbox(token_of("nonsense"))

    asyncio.run(main())
    assert server.log().served == 100


def test_a_server_that_is_gone_is_an_error(server):
    """A client whose server has gone gets an error of the connection, not an answer."""
    with TokenServer() as gone:
        port = gone.port
    with Client(port) as client, pytest.raises(OSError, match="refused"):
        client.issue("ada")
