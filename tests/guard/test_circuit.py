"""The circuit breaker: when it opens, who may probe, and what closes it."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
import time

import pytest

from memo import OperationFailed
from memo.breaker import Breaker, Health
from memo.errors import Full
from memo.guard.circuit import REFUSED, Circuit
from memo.testing import FakeTimer


def made(**options):
    """A breaker with a clock that stands still, and that clock."""
    timer = FakeTimer()
    return Circuit(Breaker(timer=timer, **options), "store"), timer


def down(text="down"):
    """A failure of the backend."""
    error = OperationFailed(text)
    error.__cause__ = ConnectionError(text)
    return error


def fail(circuit, times=1, probe=0):
    """So many operations have failed."""
    for _ in range(times):
        circuit.calls += 1
        circuit.failed(down(), probe)


def _raising(error):
    raise error
    yield


def opened(**options):
    """A breaker that has just opened."""
    circuit, timer = made(**options)
    fail(circuit, circuit.options.failures)
    assert circuit.state == "open"
    return circuit, timer


def test_it_opens_after_so_many_failures_in_a_row():
    """The fifth by default; before that operations are not even asked about."""
    circuit, _ = made()
    fail(circuit, 4)
    assert (circuit.state, circuit.shut) == ("closed", False)
    fail(circuit)
    assert (circuit.state, circuit.shut) == ("open", True)
    assert circuit.admit() == REFUSED


def test_a_success_in_between_starts_the_count_anew():
    """Failures count in a row."""
    circuit, _ = made(failures=3)
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 2)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"


def test_one_probe_every_second():
    """None before, one then, and the next a second after that, though nothing was heard of it."""
    circuit, timer = opened()
    timer.advance(0.999)
    assert circuit.admit() == REFUSED
    timer.advance(0.001)
    first = circuit.admit()
    assert first > 0
    assert circuit.state == "half-open"
    assert circuit.admit() == REFUSED
    timer.advance(0.999)
    assert circuit.admit() == REFUSED
    timer.advance(0.001)
    assert circuit.state == "open", "the first probe has hung for too long"
    second = circuit.admit()
    assert second > first
    assert circuit.admit() == REFUSED


def test_a_probe_that_succeeds_closes_it():
    """And everything is let through again, with the count at zero."""
    circuit, timer = opened(failures=2)
    timer.advance(1)
    circuit.succeeded(circuit.admit())
    assert (circuit.state, circuit.shut, circuit.failures) == ("closed", False, 0)
    fail(circuit)
    assert circuit.state == "closed"


def test_a_probe_that_fails_keeps_it_open():
    """For one more second, from its failure on."""
    circuit, timer = opened()
    timer.advance(1)
    probe = circuit.admit()
    timer.advance(0.25)
    circuit.failed(down(), probe)
    assert circuit.state == "open"
    timer.advance(0.999)
    assert circuit.admit() == REFUSED
    timer.advance(0.001)
    assert circuit.admit() > 0


def test_a_probe_that_is_cancelled_gives_its_turn_back():
    """It says nothing of the backend, and the next caller may go at once."""
    circuit, timer = opened()
    timer.advance(1)
    probe = circuit.admit()
    circuit.give_back(probe)
    assert circuit.state == "open"
    again = circuit.admit()
    assert again > probe
    circuit.give_back(probe)  # of one who has no turn any more
    assert circuit.admit() == REFUSED


def test_an_old_probe_says_something_only_when_it_succeeds():
    """A late failure changes nothing; a late answer shows that the backend is there."""
    circuit, timer = opened()
    timer.advance(1)
    old = circuit.admit()
    timer.advance(1)
    new = circuit.admit()
    circuit.failed(down(), old)
    assert circuit.state == "half-open"
    circuit.succeeded(old)
    assert circuit.state == "closed"
    circuit.failed(down(), new)
    assert circuit.failures == 1


def test_what_was_begun_before_it_opened_does_not_count():
    """Neither a late success nor a late failure of an operation that was no probe."""
    circuit, timer = opened()
    circuit.succeeded()
    assert circuit.state == "open"
    timer.advance(0.5)
    circuit.failed(down())
    timer.advance(0.5)
    assert circuit.admit() > 0


def test_who_is_refused_while_it_opens_is_told_why():
    """Nobody is refused before the failure that opens it is there to be named as the cause."""
    circuit, _ = made(failures=1)
    refused = []

    def ask():
        assert circuit.admit() == REFUSED
        refused.append(circuit.refusal("read", "k"))

    crew = []
    failing = False

    class Slow(ConnectionError):
        """One that is copied, to be kept, while somebody asks."""

        def __new__(cls, *args):
            if failing and not crew:
                crew.append(threading.Thread(target=ask))
                crew[0].start()
                crew[0].join(0.05)
            return super().__new__(cls, *args)

    failure = OperationFailed("down")
    failure.__cause__ = Slow("down")
    failing = True
    circuit.failed(failure)
    crew[0].join()
    assert type(refused[0].__cause__) is Slow
    assert "1 failures in a row" in refused[0].reason


def test_who_is_refused_as_it_closes_is_told_why():
    """It closes between the refusal and the words for it: these name the last failure still."""
    circuit, timer = opened()
    assert circuit.admit() == REFUSED
    timer.advance(1)
    circuit.succeeded(circuit.admit())
    assert type(circuit.refusal("read", "k").__cause__) is ConnectionError


def test_exactly_one_of_64_threads_is_the_probe():
    """Of callers who come at the same moment; again and again."""
    for _ in range(20):
        timer = FakeTimer()

        def tells(timer=timer):
            time.sleep(0)  # lets the others go on: all have looked before the first one decides
            return timer()

        circuit = Circuit(Breaker(failures=1, timer=tells), "store")
        fail(circuit)
        timer.advance(1)
        barrier = threading.Barrier(64)
        answers = []

        def ask(circuit=circuit, barrier=barrier, answers=answers):
            barrier.wait(20)
            answers.append(circuit.admit())

        threads = [threading.Thread(target=ask) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(answers) == 64
        assert len([answer for answer in answers if answer > 0]) == 1
        assert answers.count(REFUSED) == 63


def test_who_asks_while_it_closes_is_let_through():
    """Between the look at `shut` and the question it may have closed."""
    circuit, timer = opened()
    timer.advance(1)
    circuit.succeeded(circuit.admit())
    assert circuit.admit() == 0


def test_it_opens_at_a_rate_of_failures():
    """Half of at least ten operations in a window that begins with a failure."""
    circuit, _ = made(failures=100, rate=0.5, minimum_calls=10)
    for _ in range(4):
        fail(circuit)
        circuit.calls += 1
        circuit.succeeded()
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "closed", "nine operations are not enough"
    fail(circuit)
    assert circuit.state == "open"
    assert "6 failures in 10 operations" in circuit.reason


def test_a_lower_rate_does_not_open_it():
    """One of four, for half an hour."""
    circuit, timer = made(failures=100, rate=0.5, minimum_calls=10)
    for _ in range(2000):
        fail(circuit)
        for _ in range(3):
            circuit.calls += 1
            circuit.succeeded()
        timer.advance(1)
    assert circuit.state == "closed"


def test_a_window_ends():
    """What failed in the last one does not count in the next."""
    circuit, timer = made(failures=100, rate=1.0, minimum_calls=10, window=5)
    fail(circuit, 9)
    timer.advance(5)
    fail(circuit, 9)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"


def test_without_a_rate_only_the_row_counts():
    """By default four failures in five do not open it, as long as the fifth succeeds."""
    circuit, _ = made()
    for _ in range(100):
        fail(circuit, 4)
        circuit.succeeded()
    assert circuit.state == "closed"


def test_a_refusal_says_why_and_keeps_the_cause():
    """The message names the state and the last error; the cause leads to no frames."""
    circuit, _ = made(failures=1)
    failure = OperationFailed("ConnectionResetError: peer went away")
    with pytest.raises(ConnectionResetError) as met:
        next(_ for _ in _raising(ConnectionResetError("peer went away")))
    failure.__cause__ = met.value
    assert met.value.__traceback__ is not None
    circuit.failed(failure)
    error = circuit.refusal("read", "k")
    assert str(error) == (
        "cache read failed on store for key 'k': its breaker is open, after 1 failures in a row; "
        "the last error: ConnectionResetError: peer went away"
    )
    assert type(error.__cause__) is ConnectionResetError
    assert error.__cause__.__traceback__ is None
    assert circuit.refusal("read", "k") is not error, "no two callers share an exception"


def test_refusals_cost_no_more_as_they_go_on():
    """After ten thousand the cause has no traceback, no context and no notes."""
    circuit, _ = opened()
    for _ in range(10_000):
        try:
            raise circuit.refusal("read", "k")
        except OperationFailed as error:
            cause = error.__cause__
    assert cause.__traceback__ is None
    assert cause.__context__ is None
    assert not hasattr(cause, "__notes__")


def test_health_tells_state_errors_and_since_when():
    """Up, degraded after a failure, down while open, degraded while probing, up again."""
    circuit, timer = made(failures=2)
    timer.advance(3)
    assert circuit.health() == Health(backend="store", breaker="closed", since=3.0)
    fail(circuit)
    assert circuit.health().status == "degraded"
    fail(circuit)
    timer.advance(0.5)
    health = circuit.health()
    assert (health.status, health.breaker, health.since) == ("down", "open", 0.5)
    assert (health.failures, health.last_error) == (2, "down")
    timer.advance(0.5)
    probe = circuit.admit()
    assert (circuit.health().status, circuit.health().breaker) == ("degraded", "half-open")
    circuit.succeeded(probe)
    health = circuit.health()
    assert (health.status, health.breaker, health.since, health.failures) == ("up", "closed", 0, 0)
    assert health.last_error == "down", "what went wrong last stays known"


def test_changes_are_told_once():
    """`on_change` hears of opening and closing, with the health after it; not of each probe."""
    heard = []
    circuit, timer = made(failures=1, on_change=heard.append)
    fail(circuit, 3)
    timer.advance(1)
    circuit.failed(down(), circuit.admit())
    timer.advance(1)
    circuit.succeeded(circuit.admit())
    assert [health.breaker for health in heard] == ["open", "closed"]
    assert [health.status for health in heard] == ["down", "up"]


def test_a_listener_that_raises_changes_nothing(caplog):
    """It is logged, and the breaker goes on."""

    def listener(health):
        raise RuntimeError("no")

    circuit, timer = made(failures=1, on_change=listener)
    fail(circuit)
    assert circuit.state == "open"
    timer.advance(1)
    circuit.succeeded(circuit.admit())
    assert circuit.state == "closed"
    assert "RuntimeError('no')" in caplog.text


def test_a_listener_may_ask_the_breaker(caplog):
    """It is called outside of every lock."""
    states = []
    circuit, _ = made(failures=1, on_change=lambda health: states.append(circuit.state))
    fail(circuit)
    assert states == ["open"]


def test_a_change_is_logged_and_flapping_does_not_flood(caplog):
    """One line when it opens and one when it closes; a hundred more changes are summed up."""
    caplog.set_level(logging.WARNING, logger="memo")
    circuit, timer = made(failures=1)
    for _ in range(50):
        fail(circuit)
        timer.advance(1)
        circuit.succeeded(circuit.admit())
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "store: the breaker has opened",
        "store: the breaker has closed",
    ]


def test_a_log_handler_that_raises_is_nobodys_failure():
    """The breaker opens all the same, and nothing comes out."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("no disk")

    log, handler = logging.getLogger("memo"), Broken()
    log.addHandler(handler)
    try:
        circuit, _ = opened()
    finally:
        log.removeHandler(handler)
    assert circuit.shut


def test_forced_open_refuses_all_and_lets_no_probe_through():
    """Until it is released; then it is closed, whatever happened meanwhile."""
    circuit, timer = made()
    drill = circuit.force_open()
    timer.advance(100)
    assert circuit.admit() == REFUSED
    assert circuit.state == "open"
    assert "forced" in circuit.refusal("read", "k").reason
    circuit.succeeded(0)
    assert circuit.state == "open"
    drill.release()
    assert (circuit.state, circuit.shut) == ("closed", False)


def test_a_drill_is_a_context_manager():
    """The end of the block releases it, also by an exception."""
    circuit, _ = made()
    shut = []

    def drill():
        with circuit.force_open():
            shut.append(circuit.shut)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        drill()
    assert shut == [True]
    assert not circuit.shut


def test_forced_closed_never_opens():
    """Failures are remembered in words, and no more."""
    circuit, _ = made()
    with circuit.force_closed():
        fail(circuit, 100)
        assert circuit.state == "closed"
        assert circuit.health().last_error == "down"
    fail(circuit, 4)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"


def test_an_open_breaker_can_be_forced_and_released():
    """A drill while it is open: released, it is closed and finds out by itself."""
    circuit, timer = opened()
    with circuit.force_open():
        timer.advance(5)
        assert circuit.admit() == REFUSED
    assert circuit.state == "closed"


def test_drills_are_told_too():
    """`on_change` hears of them as of any change."""
    heard = []
    circuit, _ = made(on_change=heard.append)
    with circuit.force_open():
        pass
    circuit.force_closed().release()
    assert [health.breaker for health in heard] == ["open", "closed"]


def test_a_full_store_has_no_reason_but_a_text():
    """What is said of an error that is no `OperationFailed` is its text."""
    circuit, _ = made(failures=1)
    circuit.failed(Full("k"))
    assert circuit.last_error == str(Full("k"))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"failures": 0}, ValueError, r"Breaker\(failures=0\): takes a whole number"),
        ({"failures": "5"}, TypeError, r"Breaker\(failures='5'\): takes a whole number"),
        ({"failures": True}, TypeError, r"Breaker\(failures=True\)"),
        ({"minimum_calls": 0}, ValueError, r"Breaker\(minimum_calls=0\)"),
        ({"rate": 0}, ValueError, r"Breaker\(rate=0\): must be more than 0 and at most 1"),
        ({"rate": 1.5}, ValueError, r"Breaker\(rate=1.5\)"),
        ({"rate": "half"}, TypeError, r"Breaker\(rate='half'\): takes a number"),
        ({"window": 0}, ValueError, r"Breaker.window=0: must be greater than 0"),
        ({"window": float("inf")}, ValueError, r"Breaker\(window=inf\): must be finite"),
        ({"probe_every": None}, TypeError, r"Breaker.probe_every=None: takes seconds"),
        ({"probe_every": -1}, ValueError, r"Breaker.probe_every=-1"),
        ({"on_change": 3}, TypeError, r"Breaker\(on_change=3\): takes a callable"),
        ({"timer": 3}, TypeError, r"Breaker\(timer=3\): takes a callable"),
    ],
)
def test_what_cannot_be_is_refused(wrong, error, text):
    """One error that names the field, the value and what is allowed."""
    with pytest.raises(error, match=text):
        Breaker(**wrong)


def test_options_compare_hash_pickle_and_print():
    """By what they say; durations in seconds."""
    one = Breaker(failures=3, probe_every="500ms")
    assert one == Breaker(failures=3, probe_every=0.5)
    assert hash(one) == hash(Breaker(failures=3, probe_every=0.5))
    assert one != Breaker()
    assert repr(one) == "Breaker(failures=3, probe_every=0.5)"
    assert repr(Breaker()) == "Breaker()"
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    with pytest.raises(TypeError):
        Breaker(3)
    assert hash(Breaker(on_change=[].append)) == hash(Breaker())
