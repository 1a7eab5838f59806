"""What the tests of `memo.flow` share: flows are played by hand, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memo.errors import CacheError, OperationFailed
from memo.flow import Absorb, Flow, Rules, Step
from memo.freshness import Freshness
from memo.policy import Policy
from memo.stats import Stats


class Watching:
    """A load's watch, which a test supersedes when it likes."""

    def __init__(self, superseded: bool = False) -> None:
        self.superseded = superseded


class Heard:
    """Equal to the `Absorb` step of one error: a given one, or any whose text has `words`."""

    def __init__(self, error: CacheError | None = None, words: str = "") -> None:
        self.error = error
        self.words = words

    def __eq__(self, step: object) -> bool:
        if not isinstance(step, Absorb):
            return False
        if self.error is not None:
            return step.error is self.error
        return self.words in str(step.error)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Heard({self.error!r}, {self.words!r})"


def play(flow: Flow, *script: tuple[Step | Heard, Any]) -> Any:
    """What `flow` returns when it wants just the steps of `script`, each answered as it says.

    An answer that is a `CacheError` is thrown in; one that is a function is called first.
    """
    try:
        step = next(flow)
        for wanted, answer in script:
            assert wanted == step
            if isinstance(answer, Callable):  # type: ignore[arg-type]
                answer = answer()  # noqa: PLW2901
            step = flow.throw(answer) if isinstance(answer, CacheError) else flow.send(answer)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"one step more than expected: {step!r}")


def rules(policy: Policy | None = None, *, now: float = 100.0, **options: Any) -> Rules:
    """Rules at a fixed moment; options as `memo.cached` has them, ttl 10 s unless given."""
    fields = {
        name: options.pop(name)
        for name in ("should_cache", "stores", "standby", "timer", "away")
        if name in options
    }
    lifetime = Freshness.of(**({"ttl": 10} | options))
    given = {"timer": lambda: now, "random": lambda: 0.5} | fields
    return Rules(policy=policy or Policy(), freshness=lifetime, **given)


def broken(operation: str = "read", key: Any = "k") -> OperationFailed:
    """An error as a backend's guard raises it."""
    return OperationFailed("down", operation=operation, key=key, backend="b")


def counts(stats: Stats) -> dict[str, int]:
    """The counters that are not zero, but for the time spent."""
    names = [name for name in Stats.__slots__ if name != "load_time"]
    return {name: getattr(stats, name) for name in names if getattr(stats, name)}
