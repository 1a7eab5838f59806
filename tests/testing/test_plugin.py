"""The pytest plugin: isolates caches between tests, switches caching off, has a timer."""

import sys

import pytest

import memo
from memo import cached, configuration

pytest_plugins = ("pytester",)

#: The code that the inner suites test: functions and methods that count how often they run.
APP = """
    from memo import cached
    from memo.backends import Memory

    calls = []
    shared = Memory()

    @cached
    def double(number):
        calls.append(number)
        return 2 * number

    @cached(backend=shared)
    def triple(number):
        calls.append(number)
        return 3 * number

    @cached
    async def slowly(number):
        calls.append(number)
        return 4 * number

    class Shop:
        @cached
        def price(self, item):
            calls.append(item)
            return 5 * item

        @classmethod
        @cached
        def tax(cls, item):
            calls.append(item)
            return 6 * item

    class Number(int):  # cannot be referenced weakly
        @cached
        def plus(self, other):
            calls.append(other)
            return self + other

    shop = Shop()
    seven = Number(7)
"""


@pytest.fixture
def suite(pytester):
    """Runs a suite over `APP`, and asserts what came of it."""
    pytester.makepyfile(app=APP)

    def run(tests, *args, ini="", **outcomes):
        pytester.makepyfile(test_app="import app, memo, pytest\n\n" + tests)
        pytester.makeini(f"[pytest]\n{ini}")
        for name in ("app", "test_app"):
            sys.modules.pop(name, None)
        result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", *args)
        result.assert_outcomes(**outcomes)
        return result

    return run


def twice(body, setup=""):
    """A test, two times over: it must hold in both."""
    return (
        f"{setup}\n@pytest.mark.parametrize('turn', [1, 2])\n"
        f"def test_it(turn):\n    before = len(app.calls)\n{body}"
    )


@pytest.mark.parametrize(
    "call",
    [
        "app.double(21) == 42",
        "app.shop.price(2) == 10",
        "app.Shop.tax(2) == 12",
        "app.seven.plus(1) == 8",
        "__import__('asyncio').run(app.slowly(2)) == 8",
    ],
)
def test_what_one_test_caches_is_gone_in_the_next(suite, call):
    """Functions, methods and coroutine functions start each test empty, and cache within it."""
    suite(
        twice(f"    assert {call}\n    assert {call}\n    assert len(app.calls) == before + 1"),
        passed=2,
    )


def test_counters_begin_at_zero_in_each_test(suite):
    """A test may assert on `cache_info()` without clearing anything first."""
    suite(
        twice(
            "    app.double(1), app.double(1), app.shop.price(1), app.seven.plus(1)\n"
            "    assert app.double.cache_info() == (1, 1, 1024, 1)\n"
            "    assert app.shop.price.cache_info()[:2] == (0, 1)\n"
            "    assert app.Shop.price.cache_info()[:2] == (0, 1)\n"
            "    assert app.Number.plus.cache_info()[:2] == (0, 1)\n"
        ),
        passed=2,
    )


def test_what_was_cached_before_the_first_test_is_gone_too(suite):
    """What the import of a test module or a session's fixture caches reaches no test."""
    suite(
        "app.double(1)\n\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def early():\n    app.double(2)\n\n"
        "def test_it():\n    assert app.double.cache_info().currsize == 0\n",
        passed=1,
    )


def test_what_a_handle_stored_is_gone_too(suite):
    """A value stored by hand, without any call, does not leak either."""
    suite(
        twice("    assert not app.double.lookup(1).hit\n    assert app.double.set(99, 1)\n"),
        passed=2,
    )


def test_fixtures_of_a_test_share_its_caches(suite):
    """What a function's fixture caches is there in the test that asked for it."""
    suite(
        "@pytest.fixture\n"
        "def warm():\n    app.double.set(99, 1)\n\n"
        "def test_it(warm):\n    assert app.double(1) == 99\n",
        passed=1,
    )


def test_doctests_and_unittests_are_tests_too(suite, pytester):
    """Isolation holds for `unittest` methods and for doctests, each on its own."""
    pytester.makepyfile(
        documented='''
        """
        >>> from app import double
        >>> double(1)
        2
        >>> double.cache_info()[:2]
        (0, 1)
        """

        def other():
            """
            >>> from app import double
            >>> double(1), double(1)
            (2, 2)
            >>> double.cache_info()[:2]
            (1, 1)
            """
        '''
    )
    suite(
        "import unittest\n\n"
        "class TestIt(unittest.TestCase):\n"
        "    def check(self):\n"
        "        app.double(1)\n"
        "        self.assertEqual(app.double.cache_info()[:2], (0, 1))\n"
        "    test_one = test_two = check\n",
        "--doctest-modules",
        passed=4,
    )


def test_explicit_backends_are_left_alone(suite):
    """A cache that was given a backend keeps what it holds: it may be meant to."""
    suite(
        twice("    assert app.triple(2) == 6\n    assert app.calls == [2]\n"),
        passed=2,
    )


def test_what_a_test_configured_is_undone(suite):
    """A backend, a policy or a switch set by one test does not reach the next."""
    suite(
        "from memo.backends import Memory\n"
        "def test_one():\n"
        "    store = Memory()\n"
        "    memo.configure(backend=store, policy=memo.Policy.cache_only())\n"
        "    app.double.set(99, 1)\n"
        "    assert store.currsize == 1\n"
        "    memo.configure(enabled=False)\n"
        "    assert app.double(1) == 2\n"
        "def test_two():\n"
        "    assert app.double(1) == 2\n"
        "    assert app.double(1) == 2\n"
        "    assert app.double.cache_info()[:2] == (1, 1)\n",
        passed=2,
    )


def test_what_the_program_configured_stays(suite):
    """What was configured before the tests, at import or in a session's fixture, holds in all."""
    suite(
        "policy = memo.Policy(on_error=print)\n"
        "memo.configure(policy=policy)\n\n"
        "from memo.configuration import defaults\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def store():\n"
        "    memo.configure(backend={})\n"
        "    yield\n"
        "    memo.configure(backend=None, policy=None)\n\n"
        + twice(
            "    assert defaults.policy is policy and defaults.backend is not None\n"
            "    memo.configure(policy=None, backend=None)\n"
        ),
        passed=2,
    )
    assert configuration.configured().get("policy") is None


def test_isolation_can_be_switched_off(suite):
    """With `memo_isolate = false` caches live from test to test, as they do in a program."""
    tests = (
        "def test_one():\n    app.double(1)\ndef test_two():\n    assert app.double.lookup(1).hit\n"
    )
    suite(tests, passed=1, failed=1)
    suite(tests, ini="memo_isolate = false", passed=2)


def test_isolation_can_be_switched_off_for_some(suite):
    """The marker lets a module, class or test see what came before; the nearest one holds."""
    suite(
        "pytestmark = pytest.mark.memo(isolate=False)\n"
        "def test_one():\n    app.double(1)\n"
        "def test_two():\n    assert app.double.lookup(1).hit\n"
        "@pytest.mark.memo(isolate=True)\n"
        "def test_three():\n    assert not app.double.lookup(1).hit\n",
        passed=3,
    )


COUNTS = "def test_it():\n    app.double(1), app.double(1)\n    assert len(app.calls) == {}\n"


@pytest.mark.parametrize(("args", "ini"), [(["--memo-off"], ""), ([], "memo_off = true")])
def test_caching_can_be_switched_off(suite, args, ini):
    """With `--memo-off`, or the ini option, every call is made, from the import of the code on."""
    tests = "app.double(5)\napp.double(5)\n\n" + COUNTS.format(4)
    suite(tests, *args, ini=ini, passed=1)
    assert configuration.defaults.enabled


def test_caching_can_be_switched_off_for_some(suite):
    """The marker switches it off, or on again, for a test, a class or a module."""
    tests = (
        "def test_cached():\n    app.double(1), app.double(1)\n    assert len(app.calls) == {}\n"
        "@pytest.mark.memo(off=True)\n"
        "class TestOff:\n"
        "    def test_off(self):\n"
        "        app.calls.clear()\n"
        "        app.double(1), app.double(1), app.shop.price(1), app.shop.price(1)\n"
        "        assert len(app.calls) == 4\n"
        "    @pytest.mark.memo(off=False)\n"
        "    def test_on(self):\n"
        "        app.calls.clear()\n"
        "        app.double(1), app.double(1)\n"
        "        assert len(app.calls) == 1\n"
    )
    suite(tests.format(1), passed=3)
    suite(tests.format(2), "--memo-off", passed=3)


def test_switching_off_is_undone_without_isolation(suite):
    """A marked test leaves the switch as it was, also where tests are not isolated."""
    suite(
        "@pytest.mark.memo(off=True)\n"
        "def test_off():\n    app.double(1), app.double(1)\n    assert len(app.calls) == 2\n"
        "def test_on():\n    app.double(1), app.double(1)\n    assert len(app.calls) == 3\n",
        ini="memo_isolate = false",
        passed=2,
    )


@pytest.mark.parametrize("wrong", ["False", "cache=False"])
def test_a_marker_that_says_nothing_known_is_an_error(suite, wrong):
    """A misspelt marker does not pass for one."""
    result = suite(f"@pytest.mark.memo({wrong})\ndef test_it():\n    pass\n", errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.memo takes off=True and isolate=False*"])


def test_the_marker_and_the_options_are_documented(pytester):
    """`pytest --markers`, `--help` and `--fixtures` tell what there is."""
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.memo(*off, isolate)*"])
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(["*--memo-off*", "*memo_off (bool)*", "*memo_isolate (bool)*"])
    result = pytester.runpytest_inprocess("--fixtures")
    result.stdout.fnmatch_lines(["fake_timer*"])


def test_the_fixture_moves_the_time_of_application_code(suite):
    """`fake_timer` is what a function without a timer of its own expires by, for that test."""
    suite(
        "from memo import cached\n"
        "calls = []\n"
        "@cached(ttl='5m')\n"
        "def price(item):\n    calls.append(item)\n    return 2 * item\n\n"
        "@pytest.fixture\n"
        "def early():\n    return price(1)\n\n"
        "def test_expiry(early, fake_timer):\n"
        "    price(1)\n"
        "    assert price.lookup(1).age == 0.0\n"
        "    fake_timer.advance('4m59s')\n"
        "    assert price.lookup(1).status == 'fresh'\n"
        "    fake_timer.advance(1)\n"
        "    assert price.lookup(1).status == 'expired'\n"
        "def test_afterwards():\n"
        "    price(1)\n"
        "    assert price.lookup(1).age < 60\n",
        passed=2,
    )
    assert configuration.defaults.timer is None


def test_the_fixture_leaves_other_timers_alone(suite):
    """A function that was given a timer keeps to it."""
    suite(
        "from memo import cached\n"
        "from memo.testing import FakeTimer\n"
        "own = FakeTimer()\n"
        "@cached(ttl=60, timer=own)\n"
        "def price(item):\n    return 2 * item\n\n"
        "def test_it(fake_timer):\n"
        "    price(1)\n"
        "    fake_timer.advance('1h')\n"
        "    assert price.lookup(1).status == 'fresh'\n"
        "    own.advance('1h')\n"
        "    assert price.lookup(1).status == 'expired'\n",
        passed=1,
    )


def test_a_suite_that_asks_for_nothing_gets_nothing(pytester):
    """The plugin imports no part of `memo.testing` but the timer, and raises no warning."""
    pytester.makepyfile(
        "import sys\n"
        "def test_it():\n"
        "    parts = {name for name in sys.modules if name.startswith('memo.testing.')}\n"
        "    assert parts == {'memo.testing.plugin', 'memo.testing.timer'}\n"
    )
    pytester.runpytest_subprocess("-q", "-W", "error").assert_outcomes(passed=1)


def test_parts_of_one_story_are_not_isolated_from_each_other(pytester, suite):
    """Items that are neither functions nor doctests, as the snippets of a page, share caches."""
    pytester.makeconftest(
        """
        import pytest

        class Snippet(pytest.Item):
            def __init__(self, *, code, **more):
                super().__init__(**more)
                self.code = code
                self.fixturenames = []

            def runtest(self):
                exec(self.code)

        class Page(pytest.File):
            def collect(self):
                for number, code in enumerate(self.path.read_text().splitlines()):
                    yield Snippet.from_parent(self, name=str(number), code=code)

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".page":
                return Page.from_parent(parent, path=file_path)
        """
    )
    page = "import app; app.double(1)\nimport app; assert app.double.lookup(1).hit\n"
    pytester.makefile(".page", story=page)
    suite("def test_it():\n    pass\n", passed=3)


@cached
def remembered(number):
    """Lives in this module, under the plugin that is installed."""
    return [number]


@pytest.mark.parametrize("turn", [1, 2])
def test_this_suite_is_isolated(turn):
    """Our own tests run with the plugin: what one of them caches the next does not see."""
    assert not remembered.lookup(1).hit
    assert remembered(1) is remembered(1)


def test_a_function_reset_under_way_goes_on(suite):
    """A decorated function and its bound methods stay what they are: only what they hold goes."""
    suite(
        "bound = app.shop.price\n"
        "plain = app.double\n"
        + twice(
            "    assert bound(1) == 5 and plain(1) == 2\n"
            "    assert plain is app.double and bound == app.shop.price\n"
            "    assert plain.__name__ == 'double'\n"
            "    memo.configure(enabled=False)\n"
            "    assert plain(1) == 2 and len(app.calls) == before + 3\n"
            "    memo.configure(enabled=True)\n"
            "    assert plain(1) == 2 and len(app.calls) == before + 3\n"
        ),
        passed=2,
    )


def test_public_names_are_all_there():
    """Everything `memo.testing` names can be had, and nothing else."""
    testing = memo.testing
    assert {getattr(testing, name).__name__ for name in testing.__all__} == set(testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="no attribute 'SlowTimer'"):
        _ = testing.SlowTimer
