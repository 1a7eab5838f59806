"""BackendSuite: it finds what is wrong with a backend, and says so."""

import asyncio
import json
import pickle
import threading
import time

import pytest

from memo import Entry, Full
from memo.testing import BackendSuite
from memo.testing.suite import _Store


class Sound:
    """A backend without a fault, which the others below are variations of."""

    def __init__(self):
        self.entries = {}
        self.lock = threading.RLock()

    def read(self, key):
        return self.entries.get(key)

    def write(self, key, entry):
        self.entries[key] = entry

    def delete(self, key):
        return self.entries.pop(key, None) is not None

    def clear(self):
        self.entries.clear()

    def evict(self, n=1):
        with self.lock:
            order = sorted(self.entries, key=lambda key: self.entries[key].expires)[:n]
            for key in order:
                del self.entries[key]
            return len(order)

    def clear_scope(self, scope):
        with self.lock:
            for key in list(self.entries):
                if type(key) is tuple and key and key[0] == scope:
                    del self.entries[key]

    def close(self):
        pass

    @property
    def currsize(self):
        return len(self.entries)


class AsyncSound:
    """An async backend without a fault."""

    def __init__(self):
        self.entries = {}

    async def read(self, key):
        await asyncio.sleep(0)
        return self.entries.get(key)

    async def write(self, key, entry):
        self.entries[key] = entry

    async def delete(self, key):
        return self.entries.pop(key, None) is not None

    async def clear(self):
        self.entries.clear()


def keyed_by(function):
    """A backend that keeps entries under `function(key)`."""

    class Keyed(Sound):
        clear_scope = None
        cut = staticmethod(function)

        def read(self, key):
            return super().read(self.cut(key))

        def write(self, key, entry):
            super().write(self.cut(key), entry)

        def delete(self, key):
            return super().delete(self.cut(key))

    return Keyed


def text_by(function):
    """The same, where what is no text is left as it is."""
    return keyed_by(lambda key: function(key) if isinstance(key, str) else key)


def kept_as(function):
    """A backend that keeps `function(entry)`."""

    class Kept(Sound):
        def write(self, key, entry):
            super().write(key, function(entry))

    return Kept


class RaisesOnMiss(Sound):
    def read(self, key):
        return self.entries[key]


class GivesValues(Sound):
    def read(self, key):
        entry = super().read(key)
        return entry and entry.value


class NoneIsAMiss(Sound):
    def write(self, key, entry):
        if entry.value is not None:
            super().write(key, entry)


class KeepsTheFirst(Sound):
    def write(self, key, entry):
        self.entries.setdefault(key, entry)


class SilentDelete(Sound):
    def delete(self, key):
        super().delete(key)


class BoastfulDelete(Sound):
    def delete(self, key):
        super().delete(key)
        return True


class DeletesAll(Sound):
    def delete(self, key):
        had = super().delete(key)
        self.entries.clear()
        return had


class ClearsOnce(Sound):
    cleared = False

    def clear(self):
        if not self.cleared:
            super().clear()
        self.cleared = True


class ClearsNothing(Sound):
    def clear(self):
        pass


class EvictsNewestFirst(Sound):
    def evict(self, n=1):
        order = list(reversed(self.entries))[:n]
        for key in order:
            del self.entries[key]
        return len(order)


class MiscountsEvictions(Sound):
    def evict(self, n=1):
        super().evict(n)
        return n


class ScopeIsAll(Sound):
    def clear_scope(self, scope):
        self.entries.clear()


class ScopeByText(Sound):
    def clear_scope(self, scope):
        for key in list(self.entries):
            if repr(scope) in repr(key):
                del self.entries[key]


class ClosesOnce(Sound):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class OutgrowsItsBound(Sound):
    maxsize = 50


class CountsUp(Sound):
    count = 0

    def write(self, key, entry):
        self.count += 1
        super().write(key, entry)

    @property
    def currsize(self):
        return self.count


class TalkativeWrite(Sound):
    def write(self, key, entry):
        super().write(key, entry)
        return "stored"


class Forgetful(Sound):
    def write(self, key, entry):
        if len(self.entries) >= 100:
            self.entries.clear()
        super().write(key, entry)


class Refuses(Sound):
    def write(self, key, entry):
        raise Full(key)


class KeepsTheOldWhenFull(Sound):
    def write(self, key, entry):
        if type(entry.value) is bytes:
            super().write(key, entry._replace(value=b"half"))
            raise Full(key, too_large=True)
        super().write(key, entry)


class SharesItsRegister(AsyncSound):
    """What it looks for is in an attribute, which another task overwrites meanwhile."""

    async def read(self, key):
        self.wanted = key
        await asyncio.sleep(0)
        return self.entries.get(self.wanted)


class SharesItsRegisterAmongThreads(Sound):
    """A thread gets what another one asked for last."""

    asked = (0, "k")

    def read(self, key):
        with self.lock:
            (thread, last), self.asked = self.asked, (threading.get_ident(), key)
        if thread in {threading.get_ident(), threading.main_thread().ident, 0}:
            last = key
        return self.entries.get(last)


class BoundToALoop(AsyncSound):
    loop = None

    async def read(self, key):
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return await super().read(key)


def problems(backend, **attributes):
    """The names of the suite's tests that fail over `backend`, and what they say."""
    suite = type("Suite", (BackendSuite,), {"room": 200, **attributes})()
    found = {}
    for name in dir(suite):
        if not name.startswith("test_"):
            continue
        things = [()]
        if name == "test_every_key_is_taken":
            things = [(key,) for key in suite._usable_keys().values()]
        elif name == "test_values_come_back_equal_and_of_the_same_type":
            things = [(value,) for value in suite.values.values()]
        for thing in things:
            with asyncio.Runner() as runner:
                store = _Store(backend(), runner.run)
                try:
                    getattr(suite, name)(store, *thing)
                except pytest.skip.Exception:
                    pass
                except Exception as error:
                    found[name] = f"{type(error).__name__}: {error}"
    return found


@pytest.mark.parametrize("backend", [Sound, AsyncSound])
def test_finds_nothing_wrong_with_what_is_sound(backend):
    """A backend that keeps the contract passes."""
    assert problems(backend) == {}


def drop(**fields):
    """Replaces fields of the entries that are kept."""
    return kept_as(lambda entry: entry._replace(**fields))


#: Each with the test that is about its fault, and a part of what that says.
WRONG = {
    "RaisesOnMiss": (RaisesOnMiss, "nothing_is_there_to_begin_with", "KeyError"),
    "GivesValues": (GivesValues, "gives_back_what_was_written", "neither an Entry nor None"),
    "tuple-not-entry": (kept_as(tuple), "gives_back_what_was_written", "neither an Entry nor None"),
    "NoneIsAMiss": (NoneIsAMiss, "values_come_back_equal_and_of_the_same_type", "read gave None"),
    "KeepsTheFirst": (KeepsTheFirst, "the_last_write_wins", "holds 'old'"),
    "TalkativeWrite": (TalkativeWrite, "write_says_how_many_it_evicted_or_nothing", "'stored'"),
    "no-window": (drop(kept_until=0.0), "stale_windows_are_kept", "kept_until came back as 0.0"),
    "no-tags": (drop(tags=()), "tags_are_kept", "tags came back as ()"),
    "created": (drop(created=5.0), "gives_back_what_was_written", "created came back as 5.0"),
    "expires-text": (drop(expires="soon"), "gives_back_what_was_written", "no number"),
    "expires-later": (
        kept_as(lambda entry: entry._replace(expires=time.monotonic() + 60)),
        "what_has_expired_is_never_fresh",
        "expires came back as",
    ),
    "for-ever-ends": (
        kept_as(lambda entry: entry._replace(expires=min(entry.expires, 1e12))),
        "an_entry_may_be_kept_for_ever",
        "written was inf",
    ),
    "json": (
        kept_as(lambda entry: entry._replace(value=json.loads(json.dumps(entry.value)))),
        "values_come_back_equal_and_of_the_same_type",
        "",
    ),
    "one-for-true": (
        kept_as(
            lambda entry: entry._replace(
                value=[1, 1, 1] if entry.value == [1, 1.0, True] else entry.value
            )
        ),
        "values_come_back_equal_and_of_the_same_type",
        "holds [1, 1, 1]",
    ),
    "SilentDelete": (
        SilentDelete,
        "delete_drops_and_says_whether_there_was_anything",
        "must be False",
    ),
    "BoastfulDelete": (
        BoastfulDelete,
        "delete_drops_and_says_whether_there_was_anything",
        "must be False",
    ),
    "DeletesAll": (DeletesAll, "delete_leaves_the_others", "read gave None"),
    "ClearsNothing": (ClearsNothing, "clear_drops_everything", "clear left"),
    "cut-behind": (text_by(lambda key: key[:250]), "keys_are_told_apart", "holds"),
    "cut-before": (text_by(lambda key: key[-250:]), "keys_are_told_apart", "holds"),
    "lower": (text_by(str.lower), "keys_are_told_apart", "holds"),
    "strip": (text_by(str.strip), "keys_are_told_apart", "holds"),
    "nul": (text_by(lambda key: key.partition("\x00")[0]), "keys_are_told_apart", "holds"),
    "strict-utf8": (
        text_by(lambda key: key.encode("utf-8", "strict")),
        "every_key_is_taken",
        "Unicode",
    ),
    "str-keys": (keyed_by(str), "keys_are_told_apart", "holds"),
    "repr-keys": (keyed_by(repr), "equal_keys_are_one_key", ""),
    "hashed": (keyed_by(lambda key: len(repr(key))), "many_keys_do_not_collide", "holds"),
    "EvictsNewestFirst": (
        EvictsNewestFirst,
        "evict_drops_what_has_expired_first",
        "read gave None",
    ),
    "MiscountsEvictions": (MiscountsEvictions, "evict_says_how_many_it_dropped", "must be 0"),
    "ScopeIsAll": (ScopeIsAll, "clear_scope_drops_one_scope_only", "read gave None"),
    "ScopeByText": (ScopeByText, "clear_scope_drops_one_scope_only", "read gave None"),
    "ClosesOnce": (ClosesOnce, "close_may_come_twice", "closed already"),
    "OutgrowsItsBound": (OutgrowsItsBound, "currsize_stays_within_maxsize", "over maxsize 50"),
    "CountsUp": (CountsUp, "currsize_stays_within_maxsize", "after clear"),
    "Forgetful": (Forgetful, "many_keys_do_not_collide", "is gone"),
    "Refuses": (Refuses, "gives_back_what_was_written", "refused: Full"),
    "KeepsTheOldWhenFull": (
        KeepsTheOldWhenFull,
        "values_come_back_equal_and_of_the_same_type",
        "behind",
    ),
    "SharesItsRegister": (
        SharesItsRegister,
        "concurrent_use_mixes_nothing_up",
        "a concurrent read of",
    ),
    "SharesItsRegisterAmongThreads": (
        SharesItsRegisterAmongThreads,
        "concurrent_use_mixes_nothing_up",
        "a concurrent read of",
    ),
    "BoundToALoop": (BoundToALoop, "works_in_one_event_loop_after_the_other", "different loop"),
}


@pytest.mark.parametrize(("backend", "test", "says"), WRONG.values(), ids=WRONG.keys())
def test_finds_what_is_wrong(backend, test, says):
    """A backend with one fault fails the test that is about it, which says what it met."""
    found = problems(backend)
    assert f"test_{test}" in found
    assert says in found[f"test_{test}"]


def test_values_are_what_the_backend_claims():
    """A backend that claims fewer values is tested with these alone."""

    class JSON(Sound):
        def read(self, key):
            kept = super().read(key)
            return kept and Entry(**json.loads(kept))._replace(tags=tuple(json.loads(kept)["tags"]))

        def write(self, key, entry):
            super().write(key, json.dumps(entry._asdict()))

    assert "test_values_come_back_equal_and_of_the_same_type" in problems(JSON)
    found = problems(JSON, values={"list": [1, "a", None], "map": {"a": 1.5}})
    assert "test_values_come_back_equal_and_of_the_same_type" not in found


def test_text_keys_are_enough_when_the_backend_says_so():
    """Under `string_keys` no other keys are tried, and none of these may be refused."""

    class Texts(Sound):
        clear_scope = None

        def read(self, key):
            return super().read(key + "")

    assert "test_every_key_is_taken" in problems(Texts)
    assert problems(Texts, string_keys=True) == {}


def test_a_backend_that_pickles_passes():
    """A backend that gives back copies is as good as one that gives back the values themselves."""

    class Pickling(Sound):
        def read(self, key):
            kept = super().read(key)
            return kept and pickle.loads(kept)

        def write(self, key, entry):
            super().write(key, pickle.dumps(entry))

        evict = None

    assert problems(Pickling) == {}


def test_asks_for_a_backend():
    """A subclass without a backend fails with an error that says what is missing."""

    class Forgotten(BackendSuite):
        pass

    with pytest.raises(NotImplementedError, match="Forgotten needs a method make_backend"):
        Forgotten().make_backend()
