"""The user's own exceptions: they pass through untouched, and are remembered when asked to be."""

import asyncio
import contextlib
import gc
import sys
import traceback
import types
import weakref

import pytest

from memo import cached
from memo.testing import FakeTimer

pytestmark = pytest.mark.filterwarnings("error")


class NotFoundError(LookupError):
    """An exception of the program's, with a state of its own."""

    def __init__(self, what, *, code):
        super().__init__(what)
        self.code = code


def frames_of_ours(error):
    """The frames of a traceback that are memo's."""
    return [
        frame.f_code.co_qualname
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].split(".")[0] == "memo"
    ]


def raised_by(colour, call, *args):
    """The exception that a call raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the caller looks at it
        colour.run(call(*args))
    return caught.value


PASSING = [
    ValueError("wrong"),
    KeyError("k"),
    NotFoundError("page", code=404),
    StopIteration(5),
    StopAsyncIteration(5),
    GeneratorExit(),
    RuntimeError("generator raised StopIteration"),
    RecursionError(),
    MemoryError(),
    SystemExit(3),
    KeyboardInterrupt(),
    ExceptionGroup("several", [ValueError(1), TypeError(2)]),
    BaseExceptionGroup("all", [KeyboardInterrupt()]),
    TypeError("f() missing 1 required positional argument: 'b'"),
    AttributeError("no"),
    OSError(2, "No such file", "name"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_an_exception_passes_as_it_is(error) -> None:
    """What the function raises arrives itself, with no context and one frame of ours at most."""

    @cached(ttl=60)
    def f():
        raise error

    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            f()
        assert caught.value is error
        assert error.__context__ is None
        assert error.__cause__ is None
        assert len(frames_of_ours(error)) <= 1
        error.__traceback__ = None
    assert f.cache_info() == (0, 2, 1024, 0)


ASYNC_PASSING = [error for error in PASSING if not isinstance(error, StopIteration | GeneratorExit)]


@pytest.mark.parametrize("error", ASYNC_PASSING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "options", [{}, {"hard_timeout": 60}, {"single_flight": False}], ids=" ".join
)
def test_an_exception_passes_as_it_is_in_a_coroutine(error, options) -> None:
    """The same for coroutine functions, also of what is no `Exception`."""

    @cached(ttl=60, **options)
    async def f():
        raise error

    async def main(call):
        try:
            await call()
        except BaseException as caught:
            return caught, frames_of_ours(caught)

    for call in (f, f, f.refresh):
        caught, ours = asyncio.run(main(call))
        assert caught is error
        assert error.__context__ is None
        assert error.__cause__ is None
        assert len(ours) <= 1
        error.__traceback__ = None
    info = f.cache_info()
    assert info == (0, 2, 1024, 0)
    assert info.load_failures == 3


def test_a_generator_function_inside_is_not_confused_by_stop_iteration() -> None:
    """StopIteration out of a cached `next` ends the loop around it, as without a cache."""
    items = iter([1, 2])

    @cached(key=lambda n: n)
    def following(n):
        return next(items)

    assert [following(0), following(1)] == [1, 2]
    with pytest.raises(StopIteration):
        following(2)
    assert following(0) == 1


def test_a_context_of_the_users_own_stays(colour) -> None:
    """An exception raised while handling another keeps exactly that context and cause."""

    @colour.cached
    def f(chained):
        try:
            raise KeyError("inner")  # noqa: TRY301 - to be handled here is its purpose
        except KeyError as inner:
            if chained:
                raise ValueError("outer") from inner
            raise ValueError("outer")  # noqa: B904 - a context is what is wanted

    for chained in (True, False):
        error = raised_by(colour, f, chained)
        assert isinstance(error.__context__, KeyError)
        assert error.__context__.__context__ is None
        assert (error.__cause__ is not None) is chained


def test_a_call_while_another_exception_is_handled_has_that_context() -> None:
    """As without a cache, the context is what the caller was handling, and no more."""

    @cached
    def f():
        raise ValueError("inside")

    def handle(error):
        try:
            raise error
        except KeyError:
            f()

    for _ in range(2):
        handling = KeyError("handling")
        with pytest.raises(ValueError, match="inside") as caught:
            handle(handling)
        assert caught.value.__context__ is handling
        assert handling.__context__ is None


def test_nothing_is_stored_of_a_call_that_raised(colour) -> None:
    """After an exception the next call runs the function."""
    runs = []

    @colour.cached
    def f():
        runs.append(1)
        if len(runs) == 1:
            raise ValueError
        return len(runs)

    raised_by(colour, f)
    assert colour.run(f()) == 2
    assert colour.run(f()) == 2


def test_cancelling_is_not_remembered() -> None:
    """A CancelledError of the function's own is passed on and stored nowhere."""

    @cached(cache_exceptions={Exception: 60})
    async def f():
        raise asyncio.CancelledError

    async def main():
        for _ in range(2):
            with pytest.raises(asyncio.CancelledError):
                await f()

    asyncio.run(main())
    assert f.cache_info().currsize == 0


def test_an_exception_is_remembered_for_its_own_lifetime(colour, timer) -> None:
    """`cache_exceptions` gives each type a lifetime, whatever the ttl of values is."""
    runs = []

    @colour.cached(ttl=1000, timer=timer, cache_exceptions={NotFoundError: 30, KeyError: "1m"})
    def f(kind):
        runs.append(kind)
        if kind is NotFoundError:
            raise NotFoundError("page", code=404)
        raise kind("x")

    for kind, lifetime in ((NotFoundError, 30), (KeyError, 60), (ValueError, 0)):
        runs.clear()
        first = raised_by(colour, f, kind)
        if lifetime:
            timer.advance(lifetime - 1)
            again = raised_by(colour, f, kind)
            assert runs == [kind]
            assert type(again) is type(first)
            assert again.args == first.args
            assert vars(again) == vars(first)
            timer.advance(1)
        raised_by(colour, f, kind)
        assert runs == [kind, kind]


def test_values_are_not_held_back_by_remembered_exceptions(colour, timer) -> None:
    """Once the exception's lifetime is over, a value takes its place, and its own lifetime."""
    broken = [1]

    @colour.cached(ttl=100, timer=timer, cache_exceptions={NotFoundError: 10})
    def f():
        if broken:
            raise NotFoundError("page", code=404)
        return "value"

    raised_by(colour, f)
    broken.clear()
    assert isinstance(raised_by(colour, f), NotFoundError)
    timer.advance(10)
    assert colour.run(f()) == "value"
    broken.append(1)
    timer.advance(99)
    assert colour.run(f()) == "value"
    timer.advance(1)
    assert isinstance(raised_by(colour, f), NotFoundError)


def test_the_most_specific_type_decides(colour, timer) -> None:
    """Of several types that fit, the closest one's lifetime counts, in any order of the mapping."""
    for order in (1, -1):
        pairs = [(Exception, 5), (LookupError, 10), (KeyError, 20)][::order]
        runs = []

        @colour.cached(timer=timer, cache_exceptions=dict(pairs))
        def f(kind, runs=runs):
            runs.append(kind)
            raise kind

        for kind, lifetime in ((KeyError, 20), (IndexError, 10), (ValueError, 5)):
            raised_by(colour, f, kind)
            timer.advance(lifetime - 0.5)
            raised_by(colour, f, kind)
            timer.advance(0.5)
            raised_by(colour, f, kind)
        assert runs == [KeyError, KeyError, IndexError, IndexError, ValueError, ValueError]


def test_a_returned_exception_is_a_value(colour) -> None:
    """An exception object that is returned is returned again, and never raised."""

    @colour.cached(cache_exceptions={Exception: 60})
    def f():
        return ValueError("a value")

    first = colour.run(f())
    assert colour.run(f()) is first
    assert colour.run(f.get()) is first
    assert first.__traceback__ is None


def test_should_cache_and_ttl_are_about_values(colour) -> None:
    """Hooks for values are not asked about exceptions."""
    asked = []

    @colour.cached(
        ttl=asked.append,
        should_cache=asked.append,
        cache_exceptions={ValueError: 60},
    )
    def f():
        raise ValueError

    raised_by(colour, f)
    raised_by(colour, f)
    assert asked == []
    assert f.cache_info()[:2] == (1, 1)


def test_each_raise_has_a_fresh_traceback(colour) -> None:
    """However often it is raised, a remembered exception's traceback does not grow."""

    @colour.cached(cache_exceptions={NotFoundError: 60})
    def f():
        raise NotFoundError("page", code=404)

    lengths = []
    for _ in range(10):
        error = raised_by(colour, f)
        lengths.append(len(list(traceback.walk_tb(error.__traceback__))))
        assert len(frames_of_ours(error)) <= 1
        assert error.__context__ is None
    assert len(set(lengths[1:])) == 1


def test_each_caller_gets_an_exception_of_its_own(colour) -> None:
    """What one caller adds to a remembered exception the next one does not find."""

    @colour.cached(cache_exceptions={NotFoundError: 60})
    def f():
        raise NotFoundError("page", code=404)

    first = raised_by(colour, f)
    first.seen = True
    first.add_note("a note")
    first.__cause__ = KeyError()
    second = raised_by(colour, f)
    assert second is not first
    assert not hasattr(second, "seen")
    assert not hasattr(second, "__notes__")
    assert second.__cause__ is None
    second.add_note("another")
    assert not hasattr(raised_by(colour, f), "__notes__")


class Strange(Exception):
    """An exception that is not made again from its arguments."""

    __slots__ = ("reply",)

    def __init__(self, request, reply):
        super().__init__(f"{request}: {reply}")
        self.request = request
        self.reply = reply


@pytest.mark.parametrize(
    "make",
    [
        lambda: Strange("GET", 500),
        lambda: OSError(2, "No such file", "a.txt", None, "b.txt"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        lambda: ExceptionGroup("several", [ValueError(1), KeyError(2)]),
        lambda: SyntaxError("bad", ("file", 1, 2, "text")),
        lambda: ImportError("no", name="x", path="y"),
        lambda: AttributeError("no", name="x", obj=5),
        lambda: StopAsyncIteration(7),
    ],
    ids=lambda make: type(make()).__name__,
)
def test_a_remembered_exception_is_the_same_in_all_but_identity(colour, make) -> None:
    """Type, arguments, attributes, slots, text and cause are what the function raised."""

    @colour.cached(cache_exceptions={Exception: 60})
    def f():
        raise make() from KeyError("the cause")

    first, again = raised_by(colour, f), raised_by(colour, f)
    assert f.cache_info().hits == 1
    assert type(again) is type(first)
    assert again.args == first.args
    assert str(again) == str(first)
    assert repr(again) == repr(first)
    assert isinstance(again.__cause__, KeyError)
    for name in ("request", "reply", "errno", "filename", "filename2", "exceptions", "lineno"):
        assert getattr(again, name, None) == getattr(first, name, None)
    for name in ("name", "path", "obj", "object", "reason", "value", "text"):
        assert getattr(again, name, None) == getattr(first, name, None)


def test_a_remembered_exception_keeps_no_frame_alive(colour) -> None:
    """Nothing that the function had in its hands lives on because its exception is remembered."""

    class Big:
        pass

    alive = []

    @colour.cached(cache_exceptions={NotFoundError: 60})
    def f():
        big = Big()
        alive.append(weakref.ref(big))
        raise NotFoundError("page", code=404)

    for _ in range(3):
        raised_by(colour, f)
    colour.settle()
    gc.collect()
    assert [ref() for ref in alive] == [None]
    assert f.cache_info()[:2] == (2, 1)


def test_a_remembered_exception_of_a_method_keeps_no_instance_alive(colour) -> None:
    """The instance goes although its exception is remembered, and was raised again."""

    class A:
        @colour.cached(cache_exceptions={NotFoundError: 60})
        def m(self):
            raise NotFoundError("page", code=404)

    a = A()
    ref = weakref.ref(a)
    for _ in range(3):
        raised_by(colour, a.m)
    del a
    gc.collect()
    assert ref() is None


def test_a_raised_exception_makes_no_cycle(no_collection) -> None:
    """What a failing call held dies with the exception, without the cycle collector."""

    class Big:
        pass

    @cached(ignore="made")
    def f(kind, *, made):
        big = Big()
        made.append(weakref.ref(big))
        raise kind

    for kind in (ValueError, KeyError, KeyError, ValueError):
        made = []
        with contextlib.suppress(kind):
            f(kind, made=made)
        assert [ref() for ref in made] == [None]


def test_a_remembered_exception_makes_no_cycle(no_collection) -> None:
    """The same for the first raise of an exception that is remembered, and for later ones."""

    class Big:
        pass

    made = []

    @cached(cache_exceptions={KeyError: 60})
    def f():
        big = Big()
        made.append(weakref.ref(big))
        raise KeyError

    def caller():
        big = Big()
        made.append(weakref.ref(big))
        f()

    for _ in range(3):
        with contextlib.suppress(KeyError):
            caller()
        assert [ref() for ref in made] == [None] * len(made)
    assert len(made) == 4


def test_a_call_makes_no_cycle(no_collection) -> None:
    """Arguments and values of calls that succeed die by their reference count."""

    class Big:
        pass

    f = cached(maxsize=1)(lambda a: Big())
    ref = weakref.ref(f(1))
    f(2)
    assert ref() is None
    g = cached(maxsize=0)(lambda a: a)
    big = Big()
    ref = weakref.ref(big)
    g(big)
    g.refresh(big)
    del big
    assert ref() is None


def test_a_coroutine_call_makes_no_cycle(no_collection) -> None:
    """The same in a loop, for values and for exceptions."""

    class Big:
        pass

    made = []

    @cached(maxsize=0)
    async def f(raises):
        big = Big()
        made.append(weakref.ref(big))
        if raises:
            raise ValueError
        return big

    async def main():
        for raises in (False, True):
            with contextlib.suppress(ValueError):
                await f(raises)
            for _ in range(3):
                await asyncio.sleep(0)
            assert [ref() for ref in made] == [None] * len(made)

    asyncio.run(main())
    assert len(made) == 2


def test_a_decorated_function_dies_by_its_reference_count_or_a_collection() -> None:
    """A function that nobody refers to any more goes with all it holds."""

    class Big:
        pass

    @cached
    def f():
        return Big()

    refs = [weakref.ref(f), weakref.ref(f()), weakref.ref(f.__wrapped__)]
    del f
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3


def test_a_failing_key_or_store_leaves_no_context(colour, failing_mapping) -> None:
    """Where the cache fails and then the function raises, only the function's error is seen."""

    @colour.cached(backend=failing_mapping())
    def f(a):
        raise ValueError("the function's")

    for argument in (1, types.SimpleNamespace()):
        error = raised_by(colour, f, argument)
        assert isinstance(error, ValueError)
        assert error.__context__ is None
        assert error.__cause__ is None


def test_a_stale_read_that_raises_shows_only_the_functions_error(colour) -> None:
    """Past the window of `stale_if_error` the function's exception comes without ours."""
    timer = FakeTimer()
    broken = []

    @colour.cached(ttl=10, stale_if_error=10, timer=timer)
    def f():
        if broken:
            raise ValueError("down")
        return 1

    colour.run(f())
    broken.append(1)
    timer.advance(25)
    error = raised_by(colour, f)
    assert error.__context__ is None
    assert len(frames_of_ours(error)) <= 1


def test_sys_exc_info_is_clean_inside_the_function(colour, failing_mapping) -> None:
    """While the function runs, nothing of ours is being handled."""
    seen = []

    @colour.cached(backend=failing_mapping())
    def f(a):
        seen.append(sys.exc_info())

    for argument in (1, types.SimpleNamespace()):
        colour.run(f(argument))
    assert seen == [(None, None, None)] * 2
