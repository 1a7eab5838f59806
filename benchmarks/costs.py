"""Where time and memory go: `python benchmarks/costs.py [question ...]`.

The questions are hit, async, method, miss, import and memory; all of them if none is given.

For a hit, the fast path is built up line by line, over the real store, counters and clock of a
cached function, and the difference to the line before is what a line costs. A miss is taken apart
into its parts, and the same call is made with one option changed. All of it takes turns, many times
over, and the best round of each is shown, in nanoseconds for one call. Differences of a few of them
are noise. An import is told by module, and the bytes of an entry by object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import textwrap
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import cachetools
import wrapt

from memo import cached
from memo.entry import ABSENT
from memo.eviction import DEFAULT, ordering
from memo.flights import Flights
from memo.flights.threads import BareFlight
from memo.turns import PlainTurn

ROUNDS = 300
CALLS = 500
FULL = 1000
HOUR = 3600
KEYS = list(range(1000, 1000 + CALLS))

#: What a variant is: a call with the keys of a round, which does its work for each of them.
Round = Callable[[Iterable[Any]], Any]

FRESH = "node is not None and timer() < node.answers_until"

#: The fast path, built up: what each rung adds, and its lines; "" is the look into the table.
RUNGS = [
    ("a tuple, to be the key", ["(argument,)"]),
    ("the look into the table", ["node = peek((argument,))"]),
    ("whether there was one", ["node = peek((argument,))", "if node is not None: pass"]),
    ("whether it is fresh: the clock, and the deadline", ["", f"if {FRESH}: pass"]),
    ("the count", ["", f"if {FRESH}:", "    stats.hits += 1"]),
    ("the mark for the eviction", ["", f"if {FRESH}:", "    stats.hits += 1; node.used = True"]),
    (
        "the value",
        ["", f"if {FRESH}:", "    stats.hits += 1; node.used = True; return node.value"],
    ),
]


class Proxy(wrapt.CallableObjectProxy):
    """Stands before a path as a decorated function does: no Python frame."""


def best_of(rounds: dict[str, Round], keys: Callable[[], Iterable[Any]]) -> dict[str, float]:
    """The least that each takes, in nanoseconds for one call."""
    best = dict.fromkeys(rounds, float("inf"))
    for number in range(ROUNDS + 3):
        for name, work in rounds.items():
            given = keys()
            began = time.perf_counter()
            work(given)
            took = (time.perf_counter() - began) / CALLS * 1e9
            if number > 2:  # the first few are to warm up
                best[name] = min(best[name], took)
    return best


def called(f: Any) -> Round:
    """Calls `f` with each key."""

    def work(keys: Iterable[Any]) -> None:
        for key in keys:
            f(key)

    return work


def awaited(f: Any) -> Round:
    """Awaits `f` of each key, in one coroutine, without an event loop: none of them waits."""

    async def burst(keys: Iterable[Any]) -> None:
        for key in keys:
            await f(key)

    def work(keys: Iterable[Any]) -> None:
        try:
            burst(keys).send(None)
        except StopIteration:
            return
        raise RuntimeError("it has waited for something")

    return work


def show(title: str, best: dict[str, float], *, whole: str) -> None:
    """Print a ladder: what each step adds to the one before, and its share of the whole."""
    print(f"\n{title:<58}{'ns':>8}{'adds':>8}{'share':>8}")
    before = 0.0
    for name, taken in best.items():
        if name == whole:
            continue
        print(f"  {name:<56}{taken:8.0f}{taken - before:8.0f}{(taken - before) / best[whole]:8.0%}")
        before = taken
    print(f"  {whole:<56}{best[whole]:8.0f}{best[whole] - before:8.0f}")


def ladder(colour: str, names: dict[str, Any]) -> dict[str, Any]:
    """The fast path, built up line by line."""
    variants = {}
    for what, (first, *more) in RUNGS:
        lines = [first or "node = peek((argument,))", *more]
        body = ["try:", *(f"    {line}" for line in lines), "except Exception: pass"]
        variants[what] = Proxy(_function(colour, "argument", body, names))
    return variants


def _function(colour: str, parameters: str, lines: list[str], names: dict[str, Any]) -> Any:
    # As the path does it: what it uses are its closure's, not globals.
    body = "\n        ".join(lines or ["pass"])
    source = (
        f"def make({', '.join(names)}):\n"
        f"    {colour}def call({parameters}):\n        {body}\n"
        f"    return call\n"
    )
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["make"](**names)


def parts_of(core: Any) -> dict[str, Any]:
    """What a fast path closes over."""
    return {"peek": core.memory.peek, "timer": core.clock, "stats": core.stats}


def hit() -> None:
    """A hit of a plain function of one argument."""

    def function(argument: Any) -> Any:
        return argument

    f = cached(ttl=HOUR, maxsize=4096)(function)
    called(f)(KEYS)
    variants = {
        "the loop, and the function by itself": function,
        "wrapt's slot before it": Proxy(function),
        **ladder("", parts_of(f._self_site.core)),
        "memo": f,
    }
    rounds = {name: called(variant) for name, variant in variants.items()}
    show("A hit", best_of(rounds, lambda: KEYS), whole="memo")


def async_hit() -> None:
    """A hit of a coroutine function of one argument."""

    async def function(argument: Any) -> Any:
        return argument

    f = cached(ttl=HOUR, maxsize=4096)(function)

    async def fill() -> None:
        for key in KEYS:
            await f(key)

    asyncio.run(fill())
    variants = {
        "the loop, and the coroutine function by itself": function,
        "wrapt's slot before it": Proxy(function),
        **ladder("async ", parts_of(f._self_site.core)),
        "memo": f,
    }
    rounds = {name: awaited(variant) for name, variant in variants.items()}
    show("An async hit", best_of(rounds, lambda: KEYS), whole="memo")


class Bound:
    """Looked up on an instance as a cached method is: a descriptor that gives a bound method."""

    def __init__(self, path: Any, kind: type = types.MethodType) -> None:
        self._path = path
        self._kind = kind

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self._kind(self._path, instance)


def method_hit() -> None:
    """A hit of a method of one argument."""

    class Service:
        def plain(self, argument: Any) -> Any:
            return argument

        @cached(ttl=HOUR, maxsize=4096)
        def method(self, argument: Any) -> Any:
            return argument

    service = Service()
    for key in KEYS:
        service.method(key)
    site = Service.method._self_site
    own = site.core_of(service)
    names = {"quick": {id(service): own}, "timer": own.clock}
    steps = [
        ("a path of these two parameters", "argument"),
        ("whose cache it is", "own = quick.get(id(self))"),
        ("whether there is one", "if own is None: return None"),
        ("the look into the table", "node = own.peek((argument,))"),
        ("whether it is fresh", "if node is None or timer() >= node.answers_until: return None"),
        ("the count", "own.stats.hits += 1"),
        ("the mark for the eviction", "node.used = True"),
        ("the value", "return node.value"),
    ]
    lines: list[str] = []
    Service.bound = Bound(Service.plain)  # type: ignore[attr-defined]
    Service.special = Bound(Service.plain, type(service.method))  # type: ignore[attr-defined]
    variants = {
        "the loop, and the method by itself": "plain",
        "a __get__ in Python that gives a bound method": "bound",
        "a bound method with handles": "special",
    }
    for number, (what, line) in enumerate(steps):
        lines.append(line)
        path = _function("", "self, argument", lines, names)
        setattr(Service, f"step_{number}", Bound(path, type(service.method)))
        variants[what] = f"step_{number}"
    variants["memo"] = "method"
    rounds = {
        what: _function(
            "", "keys", ["for key in keys:", f"    service.{name}(key)"], {"service": service}
        )
        for what, name in variants.items()
    }
    show("A hit of a method", best_of(rounds, lambda: KEYS), whole="memo")


def miss() -> None:
    """A miss of a plain function of one argument, into a full store."""

    def function(argument: Any) -> Any:
        return argument

    fresh = itertools.count(1_000_000)

    def keys() -> list[int]:
        return list(itertools.islice(fresh, CALLS))

    def whole(**options: Any) -> Any:
        f = cached(**{"ttl": HOUR, "maxsize": FULL, **options})(function)
        called(f)(range(2 * FULL))
        return f

    f = whole()
    core = f._self_site.core
    best = best_of(
        {
            "memo": called(f),
            "the loop, and the function by itself": called(function),
            "a look that finds nothing": called(Proxy(ladder_until_found(core))),
            "a flight: made, taken off, landed, but for the lock": _flights(),
            "a place in the store, full": _puts(whole()._self_site.core.memory),
            "of which: the lock, taken and let go": _locks(),
            "of which: a node, made": _nodes(core.memory),
            "of which: that, the eviction's choice and its order": _orders(core.memory),
            "the turn, made": called(lambda key: PlainTurn()),
            "two looks at the clock": called(_clocks),
        },
        keys,
    )
    print(f"\n{'A miss, full store':<58}{'ns':>8}{'share':>8}")
    left = best["memo"]
    for name, taken in best.items():
        left -= 0 if name == "memo" or name.startswith("of which") else taken
        print(f"  {name:<56}{taken:8.0f}{taken / best['memo']:8.0%}")
    print(
        f"  {'what is left: calls in between, counters':<56}{left:8.0f}{left / best['memo']:8.0%}"
    )

    locked = cachetools.cached(cachetools.TTLCache(FULL, HOUR), lock=threading.RLock())(function)
    called(locked)(range(FULL))
    variants = {
        "memo": f,
        "without a ttl": whole(ttl=None),
        "without single flight": whole(single_flight=False),
        "eviction='lru'": whole(eviction="lru"),
        "eviction='fifo'": whole(eviction="fifo"),
        "no bound: nothing to evict": whole(maxsize=None),
        "cachetools TTLCache, lock": locked,
    }
    best = best_of({name: called(variant) for name, variant in variants.items()}, keys)
    print(f"\n{'The same, with something changed':<58}{'ns':>8}{'by memo':>8}")
    for name, taken in best.items():
        print(f"  {name:<56}{taken:8.0f}{taken / best['memo']:8.2f}")


def ladder_until_found(core: Any) -> Any:
    """The fast path as far as a miss goes."""
    lines = ["try:", "    node = peek((argument,))", "    if node is not None: return node"]
    return _function("", "argument", [*lines, "except Exception: pass"], parts_of(core))


def _flights() -> Round:
    class Leader:
        __slots__ = ("__weakref__",)

    flights, leader = Flights(), Leader()

    def one(key: Any) -> None:
        flight = BareFlight()
        flight.key = (key,)
        flight.result = ABSENT
        flight.superseded = False
        flight.below = flight.landed = None
        flight.owner = threading.get_ident()
        flight.leader = weakref.ref(leader)
        flights.first(flight.key, flight)
        flight.result = key
        flights.drop(flight)

    return called(one)


def _puts(memory: Any) -> Round:
    ttl = float(HOUR)

    def one(key: Any) -> None:
        now = time.monotonic()
        gone: list[Any] = []
        with memory.guard.lock:
            memory.put((key,), key, now, ttl, gone)

    return called(one)


def _locks() -> Round:
    lock = threading.RLock()

    def one(key: Any) -> None:
        with lock:
            pass

    return called(one)


def _nodes(memory: Any) -> Round:
    plain = memory._plain

    def one(key: Any) -> None:
        node = plain()
        node.key = (key,)
        node.value = key
        node.size = 1
        node.used = False
        node.answers_until = node.span = 1.0

    return called(one)


def _orders(memory: Any) -> Round:
    store, plain = ordering(DEFAULT, FULL), memory._plain

    def one(key: Any) -> None:
        node = plain()
        node.key = (key,)
        node.value = key
        node.size = 1
        store.insert(node)

    work = called(one)
    work(range(2 * FULL))
    return work


def _clocks(key: Any) -> None:
    time.monotonic()
    time.monotonic()


def imports() -> None:
    """The import of memo beyond its dependencies, by module."""
    best: dict[str, float] = {}
    for _ in range(9):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import wrapt, cachetools; import memo"],
            check=True,
            capture_output=True,
            text=True,
        )
        rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines()]
        after = [name.strip() for *_, name in rows].index("cachetools") + 1
        for alone, _, name in rows[after:]:
            best[name.strip()] = min(best.get(name.strip(), float("inf")), int(alone) / 1000)
    total = sum(best.values())
    print(f"\n{f'The import of memo: {len(best)} modules':<58}{'ms':>8}{'share':>8}")
    print(f"  {'all of it, without what it takes to measure':<56}{total:8.2f}")
    for name in sorted(best, key=lambda name: -best[name])[:15]:
        print(f"  {name:<56}{best[name]:8.2f}{best[name] / total:8.0%}")


def memory() -> None:
    """The bytes of an entry of a plain function of one argument, beyond the argument and value."""
    f = cached(ttl=HOUR, maxsize=1 << 15)(lambda argument: argument)
    called(f)([f"key:{number}" for number in range(1 << 15)])
    store = f._self_site.core.memory
    (key, node), (_, other) = itertools.islice(store._store.table.items(), 2)
    slots = [slot for kind in type(node).__mro__ for slot in getattr(kind, "__slots__", ())]
    floats = {id(value): value for slot in slots if type(value := getattr(node, slot)) is float}
    for slot in slots:
        floats.pop(id(getattr(other, slot)), None)  # shared with others
    parts = {
        f"the node: {len(slots)} slots ({', '.join(slots)})": sys.getsizeof(node),
        "the tuple that is the key": sys.getsizeof(key),
        f"{len(floats)} of its times, floats of its own": sum(map(sys.getsizeof, floats.values())),
        "the share in the table, a dict": sys.getsizeof(store._store.table) / len(store),
    }
    print(f"\n{'An entry':<58}{'bytes':>8}")
    for name, size in parts.items():
        first, *rest = textwrap.wrap(name, 54)
        print(f"  {first:<56}{size:8.0f}")
        for line in rest:
            print(f"    {line}")
    print(f"  {'all of it':<56}{sum(parts.values()):8.0f}")


QUESTIONS = {
    "hit": hit,
    "async": async_hit,
    "method": method_hit,
    "miss": miss,
    "import": imports,
    "memory": memory,
}


def main() -> None:
    """Answer what was asked."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("questions", nargs="*", help=f"of {', '.join(QUESTIONS)}; all if not given")
    asked = parser.parse_args().questions or list(QUESTIONS)
    unknown = [question for question in asked if question not in QUESTIONS]
    if unknown:
        parser.error(f"no question {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    for question in asked:
        QUESTIONS[question]()


if __name__ == "__main__":
    main()
