"""Nothing is absorbed in silence, and a night of failures does not flood the log."""

from __future__ import annotations

import logging

import pytest
from policy.scripted import Down, Scripted, colours

import memo.alerts
from memo import Full, OperationFailed, Policy, cached
from memo.testing import FakeTimer, FaultyBackend


@pytest.fixture
def clock(monkeypatch):
    """The clock that the log's rate goes by."""
    timer = FakeTimer(1000.0)
    monkeypatch.setattr(memo.alerts.time, "monotonic", timer)
    return timer


def failing(**policy):
    """A function whose backend fails in every operation."""
    backend = Scripted()
    backend.fails = {"read", "write", "delete", "clear"}

    @cached(ttl=10, backend=backend, policy=Policy(**policy), name="prices", timer=lambda: 0.0)
    def load(key):
        return key

    return load


def test_the_first_failure_of_a_kind_is_logged_and_then_few(clock, caplog):
    """One line at once, then one every ten seconds that says how many were left out."""
    load = failing()
    for _ in range(1000):
        load("k")
    (first,) = caplog.records
    assert (first.name, first.levelno) == ("memo", logging.WARNING)
    assert "prices" in first.getMessage()
    assert "read failed on scripted" in first.getMessage()
    assert isinstance(first.exc_info[1], Down)
    clock.advance(9.9)
    load("k")
    assert len(caplog.records) == 1
    clock.advance(0.2)
    load("k")
    assert len(caplog.records) == 2
    assert "1000 more like it" in caplog.records[1].getMessage()


def test_each_kind_of_error_has_a_rate_of_its_own(clock, caplog):
    """By variant and operation, and by function."""
    load, other = failing(), failing()
    for _ in range(3):
        load("k")
        load.invalidate("k")
        load.set("value", "k")
        other("k")
    operations = [record.exc_info[1].args[0] for record in caplog.records]
    assert operations == ["read", "delete", "write", "read"]


def test_a_night_of_failures_is_a_handful_of_lines(clock, caplog):
    """Eight hours of a thousand failures a minute: at most one line in ten seconds."""
    load = failing()
    for _ in range(480):
        clock.advance(60)
        for _ in range(20):
            load("k")
    assert len(caplog.records) <= 480
    assert load.cache_info().failures == 480 * 20


@colours
def test_on_error_hears_each_failure(colour):
    """Every `Full` and `OperationFailed`, absorbed or raised, and never Miss or Expired."""
    heard = []
    backend = colour.backend()
    timer = FakeTimer()
    load = colour.cached(
        str, ttl=10, backend=backend, policy=Policy(on_error=heard.append), timer=timer
    )
    colour.run(load(1))
    timer.advance(10)
    colour.run(load(1))
    assert heard == []
    for fails in ("read", "write", "delete", "clear"):
        backend.fails = {fails}
        colour.run(load(2))
        colour.run(load.invalidate(2))
        colour.run(load.set("value", 2))
        colour.run(load.cache_clear())
    operations = [error.operation for error in heard]
    assert operations == ["read", "write", "write", "delete", "clear"]
    assert all(type(error) is OperationFailed for error in heard)
    assert all(type(error.__cause__) is Down for error in heard)


def test_a_failing_handler_is_logged(clock, caplog):
    """What `on_error` raises is in the log, at the same rate."""

    def fails(error):
        raise ValueError("handler")

    load = failing(on_error=fails)
    for _ in range(100):
        load("k")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "on_error raised ValueError" in messages[1]
    assert isinstance(caplog.records[1].exc_info[1], ValueError)
    assert load.cache_info().failures == 200


def test_full_is_logged_too(clock, caplog):
    """A store that refuses says so once."""

    @cached(maxsize=1, eviction="none", policy=Policy(), name="prices")
    def load(key):
        return key

    for key in range(50):
        load(key)
    (record,) = caplog.records
    assert "the store is full" in record.getMessage()
    assert load.cache_info().failures == 49
    assert issubclass(Full, Exception)


def test_a_log_handler_that_raises_costs_no_value(clock, monkeypatch):
    """Logging may be broken as well."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise ValueError("log")

    log = logging.getLogger("memo")
    handler = Broken()
    log.addHandler(handler)
    try:
        load = failing()
        assert load("k") == "k"
        assert load.set("value", "k") is False
        assert load.invalidate("k") is False
    finally:
        log.removeHandler(handler)


def test_the_instances_of_a_class_log_as_one(caplog) -> None:
    """A night of failures over many instances is one line in the log, as it is for a function."""

    class Page:
        @cached(backend=FaultyBackend(raises=1.0), policy=Policy(breaker=None))
        def shown(self) -> str:
            return "page"

    with caplog.at_level("WARNING", logger="memo"):
        for page in [Page() for _ in range(20)]:
            assert page.shown() == "page"
    assert len([one for one in caplog.records if one.name == "memo"]) == 1
    assert Page.shown.cache_info().failures == 20
