"""The functions that stand behind decorated ones.

The fast path answers a hit by itself and must stay narrow: key, look, mark, count, return. It is
one Python frame under wrapt's C slot; whatever is not a plain hit goes through a turn. It does not
ask whether caching is switched off: the asking path does, and takes its place meanwhile.

Measured for one positional argument, with ttl and bound (benchmarks/bench_hits.py): a function that
did the same through methods instead of these closures cost 1.6 to 1.8 times as much. Of the lines
below, `stats.hits += 1` on a slot costs as much as a nonlocal; an attribute store marks an entry as
used for 10 ns where a call to a recorder costs 60; the tuple of arguments serves as key as it is.

A function of one argument has a path with that very parameter, which saves the interpreter packing
arguments and an empty dict of keywords: 15 % of a hit, and calls by keyword cost little more. A
method of one argument has one too: 5 % of a hit.

Each path also calls the function, in its own frame: in a recursion nothing of ours stays on the
stack but that frame. Where the stack has no room for a turn, the function is simply called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .configuration import bypassed, enter_fast_path
from .core import Core
from .entry import ABSENT, Raised
from .turns import AsyncTurn, Turn

__all__ = ["asking", "asking_async", "of_async_function", "of_async_method"]
__all__ += ["of_async_function_of_one", "of_async_method_of_one", "of_function"]
__all__ += ["of_function_of_one", "of_method", "of_method_of_one"]


def of_function(site: Any, core: Core) -> Callable[..., Any]:  # noqa: C901 - one frame
    """The fast path of a plain function."""
    func, stats, timer, open_turn = site.function, core.stats, core.clock, site.open
    peek, find = core.peek, core.find

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - one frame
        try:
            node = find(args, kwargs) if kwargs else peek(args)
            if node is not None and timer() < node.answers_until:
                stats.hits += 1
                node.used = True
                return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        try:
            turn: Turn | None = open_turn(args, kwargs)
        except RecursionError:
            turn = None
        if turn is None:
            return func(*args, **kwargs)
        if not turn.answered:
            try:
                value = func(*args, **kwargs)
            except BaseException as error:
                try:
                    instead = turn.failed(error)
                except BaseException:
                    turn.let_go()
                    raise
                if not instead:
                    turn = None  # this frame is in the traceback: no cycle through the turn
                    raise
            else:
                try:
                    return turn.loaded(value)
                except RecursionError:
                    return value
                except BaseException:
                    turn.let_go()
                    raise
        answer = turn.answer
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return call


def of_function_of_one(site: Any, core: Core, name: str) -> Callable[..., Any]:  # noqa: C901
    """The fast path of a plain function whose one parameter is called `name`."""
    func, stats, timer, open_turn = site.function, core.stats, core.clock, site.open
    peek = core.peek

    def call(argument: Any) -> Any:  # noqa: C901 - one frame
        try:
            node = peek((argument,))
            if node is not None and timer() < node.answers_until:
                stats.hits += 1
                node.used = True
                return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        try:
            turn: Turn | None = open_turn((argument,), {})
        except RecursionError:
            turn = None
        if turn is None:
            return func(argument)
        if not turn.answered:
            try:
                value = func(argument)
            except BaseException as error:
                try:
                    instead = turn.failed(error)
                except BaseException:
                    turn.let_go()
                    raise
                if not instead:
                    turn = None  # this frame is in the traceback: no cycle through the turn
                    raise
            else:
                try:
                    return turn.loaded(value)
                except RecursionError:
                    return value
                except BaseException:
                    turn.let_go()
                    raise
        answer = turn.answer
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return _with_parameters(call, name)


def _with_parameters(path: Any, *names: str) -> Callable[..., Any]:
    """`path`, whose first parameters are called `names`; a local's name is of no matter else."""
    code = path.__code__
    path.__code__ = code.replace(co_varnames=(*names, *code.co_varnames[len(names) :]))
    return path  # type: ignore[no-any-return]


def of_method(site: Any, core: Core) -> Callable[..., Any]:  # noqa: C901 - one frame
    """The fast path of a function that is given the receiver of a method first."""
    func, quick, timer = site.function, site.quick, core.clock
    open_turn = site.open_method

    def call(  # noqa: C901 - one frame
        self: Any = ABSENT, /, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            own = quick.get(id(self))
            if own is not None:
                peek = own.peek
                node = own.find(args, kwargs) if kwargs else peek(args)
                if node is not None and timer() < node.answers_until:
                    own.stats.hits += 1
                    node.used = True
                    return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        own = None
        if self is not ABSENT:
            args = (self, *args)
        try:
            turn: Turn | None = open_turn(args, kwargs)
        except RecursionError:
            turn = None
        if turn is None:
            return func(*args, **kwargs)
        if not turn.answered:
            try:
                value = func(*args, **kwargs)
            except BaseException as error:
                try:
                    instead = turn.failed(error)
                except BaseException:
                    turn.let_go()
                    raise
                if not instead:
                    turn = None  # this frame is in the traceback: no cycle through the turn
                    raise
            else:
                try:
                    return turn.loaded(value)
                except RecursionError:
                    return value
                except BaseException:
                    turn.let_go()
                    raise
        answer = turn.answer
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return call


def of_method_of_one(  # noqa: C901 - one frame
    site: Any, core: Core, receiver: str, name: str
) -> Callable[..., Any]:
    """The fast path of a method whose parameters are called `receiver` and `name`."""
    func, quick, timer = site.function, site.quick, core.clock
    open_turn = site.open_method

    def call(self: Any, argument: Any) -> Any:  # noqa: C901 - one frame
        try:
            own = quick.get(id(self))
            if own is not None:
                node = own.peek((argument,))
                if node is not None and timer() < node.answers_until:
                    own.stats.hits += 1
                    node.used = True
                    return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        own = None
        try:
            turn: Turn | None = open_turn((self, argument), {})
        except RecursionError:
            turn = None
        if turn is None:
            return func(self, argument)
        if not turn.answered:
            try:
                value = func(self, argument)
            except BaseException as error:
                try:
                    instead = turn.failed(error)
                except BaseException:
                    turn.let_go()
                    raise
                if not instead:
                    turn = None  # this frame is in the traceback: no cycle through the turn
                    raise
            else:
                try:
                    return turn.loaded(value)
                except RecursionError:
                    return value
                except BaseException:
                    turn.let_go()
                    raise
        answer = turn.answer
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return _with_parameters(call, receiver, name)


def of_async_function(site: Any, core: Core) -> Callable[..., Any]:
    """The fast path of a coroutine function."""
    func, stats, timer, open_turn = site.function, core.stats, core.clock, site.open
    peek, find = core.peek, core.find

    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            node = find(args, kwargs) if kwargs else peek(args)
            if node is not None and timer() < node.answers_until:
                stats.hits += 1
                node.used = True
                return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        turn: AsyncTurn | None = open_turn(args, kwargs)
        if turn is None:
            return await func(*args, **kwargs)
        answer = await turn.run()
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return call


def of_async_function_of_one(site: Any, core: Core, name: str) -> Callable[..., Any]:
    """The fast path of a coroutine function whose one parameter is called `name`."""
    func, stats, timer, open_turn = site.function, core.stats, core.clock, site.open
    peek = core.peek

    async def call(argument: Any) -> Any:
        try:
            node = peek((argument,))
            if node is not None and timer() < node.answers_until:
                stats.hits += 1
                node.used = True
                return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        turn: AsyncTurn | None = open_turn((argument,), {})
        if turn is None:
            return await func(argument)
        answer = await turn.run()
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return _with_parameters(call, name)


def of_async_method(site: Any, core: Core) -> Callable[..., Any]:
    """The fast path of a coroutine function that is given the receiver of a method first."""
    func, quick, timer = site.function, site.quick, core.clock
    open_turn = site.open_method

    async def call(self: Any = ABSENT, /, *args: Any, **kwargs: Any) -> Any:
        try:
            own = quick.get(id(self))
            if own is not None:
                peek = own.peek
                node = own.find(args, kwargs) if kwargs else peek(args)
                if node is not None and timer() < node.answers_until:
                    own.stats.hits += 1
                    node.used = True
                    return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        own = None
        if self is not ABSENT:
            args = (self, *args)
        turn: AsyncTurn | None = open_turn(args, kwargs)
        if turn is None:
            return await func(*args, **kwargs)
        answer = await turn.run()
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return call


def of_async_method_of_one(site: Any, core: Core, receiver: str, name: str) -> Callable[..., Any]:
    """The same for a method of the parameters `receiver` and `name`."""
    func, quick, timer = site.function, site.quick, core.clock
    open_turn = site.open_method

    async def call(self: Any, argument: Any) -> Any:
        try:
            own = quick.get(id(self))
            if own is not None:
                node = own.peek((argument,))
                if node is not None and timer() < node.answers_until:
                    own.stats.hits += 1
                    node.used = True
                    return node.value
        except Exception:  # noqa: S110 - the turn finds out what is wrong
            pass
        own = None
        turn: AsyncTurn | None = open_turn((self, argument), {})
        if turn is None:
            return await func(self, argument)
        answer = await turn.run()
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None
        return answer

    return _with_parameters(call, receiver, name)


def asking(site: Any, fast: Callable[..., Any]) -> Callable[..., Any]:
    """The path that asks, before each call, whether it is to go past the cache."""
    func = site.function

    def call(*args: Any, **kwargs: Any) -> Any:
        if bypassed():
            return func(*args, **kwargs)
        enter_fast_path(site)
        return fast(*args, **kwargs)

    return call


def asking_async(site: Any, fast: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a coroutine function."""
    func = site.function

    async def call(*args: Any, **kwargs: Any) -> Any:
        if bypassed():
            return await func(*args, **kwargs)
        enter_fast_path(site)
        return await fast(*args, **kwargs)

    return call
