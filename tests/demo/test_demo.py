"""The demo, as a user runs it, and its parts that decide whether the story held."""

import io
import re
import subprocess
import sys
import threading

import pytest

from memo import Expired, Full, Miss, OperationFailed, Policy
from memo.demo.act import Act, Row
from memo.demo.client import RefusedError
from memo.demo.crowd import Crowd
from memo.demo.screen import PlainScreen, cells
from memo.demo.server import Log, TokenServer, messages_of
from memo.demo.sightings import WHAT_WAS_DONE, Sightings
from memo.demo.story import tell
from memo.demo.tokens import Token

FAST = 2.0


def run(*arguments, code=None):
    """Run the demo, fast and without a terminal."""
    start = ["-c", code] if code else ["-m", "memo", "demo"]
    return subprocess.run(
        [sys.executable, "-W", "error", *start, "--seconds", str(FAST), *arguments],
        capture_output=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def done():
    """One run of the demo."""
    return run()


@pytest.fixture(scope="module")
def text(done):
    """What it printed, as one line."""
    return " ".join(done.stdout.decode().split())


def number(pattern, text):
    """The one number that `pattern` finds in the text."""
    (found,) = re.findall(pattern, text)
    return int(found.replace(",", ""))


def test_everything_holds(done):
    """The demo ends by itself with status 0, and every line of its summary says ok."""
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    verdicts = [line for line in lines if re.match(r"(ok|NO) ", line)]
    assert len(verdicts) == 10
    assert all(line.startswith("ok ") for line in verdicts)
    assert lines[-1].startswith("Everything held.")


def test_the_client_notices_nothing(text):
    """The summary says that many requests were made and no error was seen."""
    assert number(r"([\d,]+) requests, 0 errors seen by the client", text) > 300
    assert number(r"(\d+) wrong answers", text) == 0


def test_requests_are_saved_and_agree_with_the_servers_log(text):
    """What the client counted is what the server has logged, and far less than without a cache."""
    requests = number(r"([\d,]+) requests, \d+ errors", text)
    opened = number(r"log: ([\d,]+) inboxes opened", text)
    issued = number(r"([\d,]+) tokens issued, \d+ refused", text)
    saved = number(r"([\d,]+) of [\d,]+ token requests saved", text)
    assert opened >= requests
    assert 0 < issued < requests
    assert 0 < saved < requests
    # Beside the acts, the policies cost a few tokens of their own.
    assert 0 <= issued - (requests - saved) < 10


def test_all_four_errors_are_met_and_absorbed(text):
    """Each error is shown when it is first met, with what was done, and counted at the end."""
    for error in ("Miss: no entry", "Expired: the entry", "Full: cannot store"):
        assert error in text
    assert "OperationFailed: cache read failed" in text
    assert "ConnectionRefusedError" in text
    for error in ("Miss", "Expired", "Full", "OperationFailed"):
        assert number(rf"met and absorbed: .*?(\d+) {error}", text) > 0


def test_every_act_has_its_line(done):
    """Each act ends in a line of the table, and each policy has a line of its own."""
    lines = done.stdout.decode().splitlines()
    for act in ("no cache", "with memo", "cache down", "cache back", "asyncio"):
        (row,) = [line for line in lines if line.startswith(act)]
        assert len(row.removeprefix(act).replace(" ms", "").split()) == 9
    for policy in ("strict()", "cache_only()", "raise_as(...)", "fallback(", "failed=STALE"):
        assert any(line.strip().startswith(policy) for line in lines)


def test_without_a_terminal_there_are_no_control_codes(done):
    """The output is printable ASCII in lines of at most 80 columns."""
    lines = done.stdout.decode("ascii").splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 80


def test_without_rich_it_says_what_would_make_it_prettier():
    """Without rich the demo runs all the same, and names the extra that brings it."""
    code = """if True:
        import sys
        sys.modules["rich"] = None
        from memo.cli import main
        sys.exit(main(["demo", *sys.argv[1:]]))
    """
    bare = run(code=code)
    assert (bare.returncode, bare.stderr) == (0, b"")
    assert b"memo-cache[cli]" in bare.stdout


def test_a_story_that_does_not_hold_is_told_so(monkeypatch):
    """Where one user is given another's inbox, the summary says that not everything held."""
    honest = TokenServer.open_inbox

    def open_inbox(self, token):
        inbox = honest(self, token)
        return inbox | {"user": "ada"} if inbox["user"] == "grace" else inbox

    monkeypatch.setattr(TokenServer, "open_inbox", open_inbox)
    out = io.StringIO()
    assert tell(PlainScreen(out), FAST) is False
    assert re.search(r"^NO +\d+ wrong answers", out.getvalue(), re.MULTILINE)
    assert "NOT everything held" in out.getvalue()


class Endpoint:
    """Stands for a client: hands out what it is told to."""

    def __init__(self, inbox=None, error=None, expires_at=float("inf")):
        self.answer = inbox
        self.error = error
        self.expires_at = expires_at
        self.refreshed = []

    def __call__(self, user):
        return Token(user, "text", self.expires_at)

    def refresh(self, user):
        self.refreshed.append(user)
        return Token(user, "new text", self.expires_at)

    def inbox(self, token):
        if self.error and not (self.refreshed and token.access_token == "new text"):
            raise self.error
        return self.answer or {"user": token.user, "messages": messages_of(token.user)}


def played(endpoint, **how):
    """An act of one user and one thread, over after its first request."""
    act = Act("act", "", Log)
    crowd = Crowd(endpoint, endpoint, users=["ada"], threads=1)
    crowd.play(act, 0.0, tick=lambda: None, until=lambda: bool(act.latencies), **how)
    return act


def test_a_right_answer_is_no_news():
    """A good token and the user's own inbox leave nothing behind but a latency."""
    act = played(Endpoint())
    assert act.latencies
    assert act.errors == act.wrong == act.renewed == []


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(inbox={"user": "grace", "messages": messages_of("grace")}),
        Endpoint(inbox={"user": "ada", "messages": messages_of("grace")}),
        Endpoint(expires_at=0.0),
    ],
)
def test_a_wrong_answer_is_noticed(endpoint):
    """Another user's inbox, and a token past its time, are each found out."""
    assert "ada" in played(endpoint).wrong


def test_an_error_is_noticed():
    """What reaches a caller is kept, with its type."""
    act = played(Endpoint(error=ConnectionResetError("gone")))
    assert act.errors[0] == "ConnectionResetError: gone"


def test_a_refused_token_is_renewed_once():
    """A token that the server refuses is replaced by a new one, which is counted, and no error."""
    endpoint = Endpoint(error=RefusedError("401: expired"))
    act = played(endpoint)
    assert act.renewed == endpoint.refreshed
    assert "ada" in act.renewed
    assert act.errors == act.wrong == []


def test_each_thread_works_within_its_context():
    """Each thread of a crowd enters a context of its own, and leaves it."""
    entered = []

    class Within:
        def __enter__(self):
            entered.append(threading.get_ident())

        def __exit__(self, *exception):
            entered.append(threading.get_ident())

    act = Act("act", "", Log)
    crowd = Crowd(Endpoint(), Endpoint(), users=["ada", "grace"], threads=3)
    crowd.play(act, 0.0, tick=lambda: None, until=lambda: len(act.latencies) >= 3, within=Within)
    assert len(entered) == 6
    assert threading.get_ident() not in entered


def test_the_demos_policy_is_the_default_one_with_eyes():
    """The policy that remembers what it was asked answers as `Policy.absorb()` does."""
    first = []
    sightings = Sightings(first.append)
    errors = [Miss("k"), Expired("k"), Full("k"), OperationFailed("down")]
    for error in [*errors, *errors]:
        assert sightings.policy.action(error) is Policy.absorb().action(error)
        assert WHAT_WAS_DONE[type(error)][0] is Policy.absorb().action(error)
    assert first == errors
    assert sightings.counts == dict.fromkeys([Miss, Expired, Full, OperationFailed], 2)


def test_a_row_in_words():
    """Figures are short, and an act without a cache has none of a cache."""
    bare = Row("no cache", 1234, 1234, median=0.0954, slowest=0.121)
    assert cells(bare) == [
        *("no cache", "1,234", "1,234"),
        *("-", "-", "-", "-", "-"),
        *("95 ms", "121 ms"),
    ]
    full = Row("with", 10, 1, hits=9, misses=1, expired=0, failed=0, median=0.0012, slowest=0.0099)
    assert cells(full)[3:] == ["9", "1", "0", "0", "90", "1.2 ms", "9.9 ms"]
    assert Row("empty", 0, 0, hits=0, misses=0).hit_rate == 0.0
