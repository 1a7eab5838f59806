"""The pytest plugin: no test sees what another one cached.

Installed with memo, on by default, and without effect on a suite that caches nothing. It keeps
functions cached in a memory of their own apart from test to test, and undoes what a test set with
`memo.configure`. What was given a backend is the test's own affair.

    --memo-off, memo_off = true                  no test caches
    memo_isolate = false                         caches live on from test to test
    @pytest.mark.memo(off=True, isolate=False)   the same for one test, class or module
    fake_timer                                   a `FakeTimer` that caches in memory go by
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from .timer import FakeTimer

__all__: list[str] = []

if "memo.testing.suite" not in sys.modules:
    pytest.register_assert_rewrite("memo.testing.suite")

_WISHES: Final = {"off", "isolate"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--memo-off`, and the same and more in the ini file."""
    group = parser.getgroup("memo", "memo (caching)")
    group.addoption(
        "--memo-off", action="store_true", help="call cached functions as if they were not cached"
    )
    parser.addini(
        "memo_off", "call cached functions as if they were not cached", type="bool", default=False
    )
    parser.addini(
        "memo_isolate",
        "empty the memories of cached functions before each test, and undo memo.configure after",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Switch caching off, if that is wished, from before the first test module is imported."""
    config.addinivalue_line(
        "markers",
        "memo(*, off, isolate): off=True calls cached functions as if they were not cached, "
        "isolate=False lets caches live on from the test before and into the one after.",
    )
    if config.getoption("--memo-off") or config.getini("memo_off"):
        from .. import configuration

        settings = configuration.configured()
        configuration.configure(enabled=False)
        config.add_cleanup(lambda: configuration.restore(settings))


@pytest.fixture(autouse=True)
def _memo_isolation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test caches of its own, and caching switched on or off as it wishes."""
    wishes = _wishes(request.node)
    off = wishes.get("off")
    if not _is_one_test(request.node):
        # The snippets of one page, say: each goes on where the one before it ended.
        yield
        return
    if not wishes.get("isolate", request.config.getini("memo_isolate")):
        if off is None:
            yield
            return
        from .. import configuration

        enabled = configuration.defaults.enabled
        configuration.configure(enabled=not off)
        yield
        configuration.configure(enabled=enabled)
        return
    settings = _configured()
    _reset()
    if off is not None:
        from .. import configuration

        configuration.configure(enabled=not off)
    yield
    _restore(settings)
    _reset()


@pytest.fixture
def fake_timer() -> Iterator[FakeTimer]:
    """A `FakeTimer` that functions cached in a memory of their own go by during the test.

    It stands at 0.0 s. A function or cache that was given a `timer` or a backend keeps to that.
    """
    from .. import configuration

    timer = FakeTimer()
    settings = configuration.configured()
    configuration.defaults.timer = timer
    _reset()
    yield timer
    configuration.defaults.timer = settings.get("timer")
    _reset()


def _is_one_test(node: Any) -> bool:
    """Whether `node` is a whole test, and not a part of a longer story."""
    doctest = sys.modules.get("_pytest.doctest")
    return isinstance(node, pytest.Function) or (
        doctest is not None and isinstance(node, doctest.DoctestItem)
    )


def _wishes(node: Any) -> dict[str, bool]:
    """What the markers of a test wish, the nearest first."""
    wishes: dict[str, bool] = {}
    for marker in node.iter_markers("memo"):
        wrong = [*marker.args, *(marker.kwargs.keys() - _WISHES)]
        if wrong:
            raise pytest.UsageError(
                f"@pytest.mark.memo takes off=True and isolate=False, not {wrong[0]!r}"
            )
        wishes = marker.kwargs | wishes
    return wishes


# What nobody has imported holds no cache and has nothing set.


def _reset() -> None:
    site = sys.modules.get("memo.site")
    if site is not None:
        site.reset()


def _configured() -> dict[str, Any]:
    configuration = sys.modules.get("memo.configuration")
    return {} if configuration is None else configuration.configured()


def _restore(settings: dict[str, Any]) -> None:
    configuration = sys.modules.get("memo.configuration")
    if configuration is not None:
        configuration.restore(settings)
