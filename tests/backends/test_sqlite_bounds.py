"""What a SQLite file holds: bounds, eviction by expiry and use, and clocks that are wrong."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections import OrderedDict
from itertools import pairwise

import pytest
from backends.sqlite_files import entry, problems, stored

from memo.backends.sqlite import Sqlite
from memo.canonical import key_text
from memo.entry import FOREVER, Entry
from memo.serializers import Codec
from memo.testing import FakeTimer

YEAR = 365 * 86_400.0


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


@pytest.fixture
def timer():
    """The clock of the backends."""
    return FakeTimer(1_700_000_000.0)


@pytest.fixture
def backend_of(path, timer):
    """Makes backends on the file, with bounds; they are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(**bounds):
            backend = Sqlite(path, **{"maxsize": None, "max_bytes": None, **bounds})
            stack.callback(backend.close)
            return backend.using(Codec(), timer)

        yield make


def put(backend, name, data=b"data", ttl=60.0):
    """Write one entry by the backend's clock; gives how many were evicted."""
    return backend.write_bytes(name, data, entry(ttl, now=backend.timer()), None)


def held(backend, names):
    """Those of `names` that are there, without being used by this."""
    return [name for name in names if name in stored(backend._file.pool.place.path)]


def names_of(count, prefix="k"):
    """As many names."""
    return [f"memo:s:{prefix}{number:04}" for number in range(count)]


# Against a model.


class Model:
    """What must be there: data and expiry by name, in a dict."""

    def __init__(self, backend, seed, maxsize=None, max_bytes=None):
        self.backend, self.timer = backend, backend.timer
        self.chance = random.Random(seed)
        self.maxsize, self.max_bytes = maxsize, max_bytes
        self.entries = {}

    def name(self):
        return f"memo:{self.chance.choice('ab')}:{self.chance.randrange(40)}"

    def item(self):
        ttl = self.chance.choice([None, 1, 30, 30, 600, 5000])
        made = entry(ttl, now=self.timer())
        return self.name(), bytes([self.chance.randrange(256)]) * self.chance.randrange(300), made

    def step(self):
        """Do something to both; gives what was written."""
        what = self.chance.randrange(20)
        if what < 10:
            name, data, made = self.item()
            self.backend.write_bytes(name, data, made, None)
            return {name: (data, made.kept_until)}
        if what < 12:
            items = [self.item() for _ in range(self.chance.randrange(5))]
            self.backend.write_many_bytes({n: (data, made) for n, data, made in items}, None)
            return {name: (data, made.kept_until) for name, data, made in items}
        if what < 14:
            name = self.name()
            assert self.backend.delete_bytes(name, None) == (
                self.entries.pop(name, None) is not None
            )
        elif what < 18:
            name = self.name()
            found = self.backend.read_bytes(name, None)
            assert found == (self.entries[name][0] if name in self.entries else None)
        elif what == 18:
            self.timer.advance(self.chance.choice([0.1, 10, 100]))
        elif self.chance.random() < 0.1:
            self.backend.clear_prefix("memo:a:", None)
            for name in [name for name in self.entries if name.startswith("memo:a:")]:
                del self.entries[name]
        return {}

    def check(self, written):
        """Whether what is there, and what is not, is right."""
        before = {**self.entries, **written}
        there = stored(self.backend._file.pool.place.path)
        now = self.timer()
        assert {name: before[name][0] for name in there} == there
        assert set(written) - set(there) == set() or self.maxsize is not None
        gone = {name: before[name][1] for name in set(before) - set(there)}
        if self.maxsize is None:
            assert all(until <= now - 3600 for until in gone.values()), gone
        elif any(until > now for until in gone.values()):
            assert all(before[name][1] > now for name in there), "an expired one outlived others"
        if self.maxsize is not None:
            assert len(there) <= self.maxsize
            assert sum(len(name) + len(data) for name, data in there.items()) <= self.max_bytes
        assert self.backend.currsize == len(there)
        self.entries = {name: before[name] for name in there}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("maxsize", "max_bytes"), [(None, None), (20, 5000), (40, 1000)])
def test_it_holds_what_a_dict_would(backend_of, path, seed, maxsize, max_bytes):
    """Whatever is done, what is there is right, within bounds, and expired entries went first."""
    backend = backend_of(maxsize=maxsize, max_bytes=max_bytes)
    model = Model(backend, seed, maxsize, max_bytes)
    for turn in range(400):
        model.check(model.step())
        if turn % 40 == 0:
            assert problems(path) == []
    assert problems(path) == []


# Bounds.


def test_the_number_of_entries_is_bounded(backend_of, path):
    """There are never more than `maxsize`, and close to as many."""
    backend = backend_of(maxsize=1000)
    evicted = sum(put(backend, name) for name in names_of(3000))
    assert 980 <= backend.currsize <= 1000
    assert evicted == 3000 - backend.currsize
    assert problems(path) == []


def test_the_number_of_bytes_is_bounded(backend_of, path):
    """Names and data together never take more than `max_bytes`, whatever their sizes."""
    backend = backend_of(max_bytes=100_000)
    chance = random.Random(1)
    for name in names_of(1000):
        put(backend, name, bytes(int(10 ** chance.uniform(0, 4.9))))
        total = sum(len(name) + len(data) for name, data in stored(path).items())
        assert total <= 100_000
    assert problems(path) == []


def test_a_smaller_bound_holds_from_the_next_write_on(backend_of):
    """A program that comes with a smaller bound makes the file fit it."""
    backend = backend_of(maxsize=500)
    for name in names_of(500):
        put(backend, name)
    smaller = backend_of(maxsize=10)
    put(smaller, names_of(1)[0])
    assert smaller.currsize <= 10


def test_many_at_once_are_bounded_as_well(backend_of, path):
    """`write_many` says how many entries went for those that came."""
    backend = backend_of(maxsize=100)
    made = {name: (b"data", entry(now=backend.timer())) for name in names_of(350)}
    assert backend.write_many_bytes(made, None) == 350 - backend.currsize
    assert 90 <= backend.currsize <= 100
    assert problems(path) == []


# Expiry.


def test_expired_entries_go_first(backend_of, timer):
    """As long as there is an expired entry, no other goes, however long it has not been used."""
    backend = backend_of(maxsize=1000)
    fresh, dead = names_of(500, "fresh"), names_of(500, "dead")
    for one, other in zip(fresh, dead, strict=True):
        put(backend, one, ttl=None)
        put(backend, other, ttl=10)
    timer.advance(10)
    for name in names_of(500, "new"):
        put(backend, name)
        assert backend.currsize <= 1000
    assert held(backend, fresh) == fresh
    assert held(backend, dead) == []


def test_evict_takes_expired_entries_first(backend_of, timer):
    """`evict` does so, too, in the order in which they expired."""
    backend = backend_of()
    names = names_of(20)
    for number, name in enumerate(names):
        put(backend, name, ttl=20 - number)
    timer.advance(12)
    assert backend.evict(5) == 5
    assert held(backend, names) == names[:15]
    assert backend.evict(100) == 15
    assert backend.evict(1) == 0


def test_what_may_be_served_stale_is_not_expired(backend_of, timer):
    """An entry in its stale window does not go before others; one kept for ever never does."""
    backend = backend_of(maxsize=3)
    now = timer()
    kept, window, dead = Entry(0, now, now + 1), Entry(0, now, now + 1, now + 99), entry(2, now)
    for name, made in (("kept", kept), ("window", window), ("dead", dead)):
        backend.write_bytes(name, b"", made, None)
    assert kept.kept_until == FOREVER
    timer.advance(50)
    put(backend, "new")
    assert sorted(stored(backend._file.pool.place.path)) == ["kept", "new", "window"]
    timer.advance(50)
    put(backend, "newer")
    assert sorted(stored(backend._file.pool.place.path)) == ["kept", "new", "newer"]


def test_expired_entries_are_kept_for_an_hour_and_reclaimed_some_at_a_time(backend_of, timer, path):
    """What has expired can be told from a miss for an hour; then writes drop it in portions."""
    backend = backend_of()
    for name in names_of(1000):
        put(backend, name, ttl=10)
    timer.advance(3600)
    for name in names_of(200, "more"):
        put(backend, name)
    assert backend.currsize == 1200
    timer.advance(20)
    sizes = [backend.currsize]
    for name in names_of(700, "new"):
        put(backend, name)
        sizes.append(backend.currsize)
    assert max(before - after for before, after in pairwise(sizes)) <= 128
    assert held(backend, names_of(1000)) == []
    assert backend.currsize == 900
    assert problems(path) == []


def test_replacing_an_entry_over_and_over_reclaims_others(backend_of, timer):
    """A program that only writes what is there already drops what has expired, too."""
    backend = backend_of()
    for name in names_of(300):
        put(backend, name, ttl=10)
    timer.advance(4000)
    for number in range(300):
        put(backend, "one", b"%d" % number)
    assert list(stored(backend._file.pool.place.path)) == ["one"]


def test_an_entry_that_is_replaced_lives_as_long_as_the_new_one(backend_of, timer, path):
    """A later expiry is kept, and an earlier one counts at once."""
    backend = backend_of(maxsize=400)
    longer, shorter = names_of(100, "longer"), names_of(100, "shorter")
    for one, other in zip(longer, shorter, strict=True):
        put(backend, one, ttl=10)
        put(backend, other, ttl=100_000)
    put(backend, "for ever", ttl=10)
    put(backend, "no more", ttl=None)
    for one, other in zip(longer, shorter, strict=True):
        put(backend, one, ttl=100_000)
        put(backend, other, ttl=10)
    put(backend, "for ever", ttl=None)
    put(backend, "no more", ttl=10)
    assert problems(path) == []
    timer.advance(20)
    for name in names_of(298, "new"):
        put(backend, name, ttl=None)
    assert held(backend, longer) == longer
    assert held(backend, [*shorter, "for ever", "no more"]) == ["for ever"]
    assert problems(path) == []


# Use.


def test_what_was_not_used_for_longest_goes(backend_of, timer):
    """In a small store the order is that of last use, to the millisecond."""
    backend = backend_of(maxsize=10)
    names = names_of(10)
    for name in names:
        put(backend, name, ttl=None)
        timer.advance(0.001)
    for name in names[:4]:
        backend.read_bytes(name, None)
    put(backend, names[4], b"other", ttl=None)
    for left in (names[6:], names[7:], names[8:]):
        timer.advance(0.001)
        put(backend, f"new {len(left)}", ttl=None)
        assert held(backend, names) == names[:5] + left


def test_a_use_in_one_program_counts_in_another(backend_of, timer):
    """Hits are brought into the file by writes, so that others do not evict what is used here."""
    here, elsewhere = backend_of(), backend_of()
    names = names_of(100)
    for name in names:
        put(here, name, ttl=None)
    timer.advance(120)
    for name in names[:30]:
        assert here.read_bytes(name, None) == b"data"
    for name in names_of(64, "new"):
        put(here, name, ttl=None)
    assert elsewhere.evict(70) == 70
    assert held(elsewhere, names) == names[:30]


def test_hits_come_close_to_those_of_lru(backend_of, timer):
    """On a load with favourites that change, as many requests are hits as with an exact LRU."""
    backend, size, chance = backend_of(maxsize=200), 200, random.Random(5)
    exact, hits, lru_hits = OrderedDict(), 0, 0
    requests = 6000
    for turn in range(requests):
        timer.advance(0.01)
        number = int(chance.paretovariate(0.4)) % 3000 + turn // 1500 * 37
        name = key_text("memo", ("s", number))
        if backend.read_bytes(name, None) is None:
            put(backend, name, ttl=None)
        else:
            hits += 1
        if name in exact:
            lru_hits += 1
            exact.move_to_end(name)
        else:
            exact[name] = None
            if len(exact) > size:
                exact.popitem(last=False)
    assert 0.3 < lru_hits / requests < 0.9
    assert abs(hits - lru_hits) / requests < 0.01


# Clocks.


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_that_jumps_leaves_no_entry_for_ever(backend_of, timer, years, path):
    """After a jump of the clock old entries are not served beyond their time, and go first."""
    backend = backend_of(maxsize=20)
    names = names_of(20)
    for number, name in enumerate(names):
        now = timer()
        expires = now + 60 if number % 2 else FOREVER
        backend.write(name, Entry(name, now, expires, expires))
        backend.read(name)
    timer.advance(years * YEAR)
    for name in names:
        found = backend.read(name)
        # From the future is nothing; from the past is what says by itself that it has expired.
        assert found is None if years < 0 else found.value == name
    timer.advance(0.001)
    keys = names_of(20, "new")
    for key in keys:
        backend.write(key, Entry(key, timer(), timer() + 60, timer() + 60))
        timer.advance(0.001)
    there = [key for key in keys if backend.read(key) is not None]
    assert there == keys
    assert problems(path) == []


def test_a_jump_of_the_clock_while_it_is_away_does_not_stop_reclaiming(backend_of, timer, path):
    """Entries written by a clock a year ahead give way to others once it is right again."""
    ahead = backend_of(maxsize=50).using(Codec(), FakeTimer(timer() + YEAR))
    old = names_of(50)
    for name in old:
        put(ahead, name)
        ahead.read_bytes(name, None)
    backend = backend_of(maxsize=50)
    new = names_of(50, "new")
    for name in new:
        put(backend, name)
        timer.advance(0.01)
    assert held(backend, new) == new
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (used,) = connection.execute(
            f"SELECT max(used) FROM names_{backend._table._own}"
        ).fetchone()
    assert used <= timer() * 1000
