"""Orderings by name."""

import math

import pytest

from memo import eviction
from memo.eviction import DEFAULT, NAMES, Adaptive, Evicting, ordering


def test_names():
    """The default comes first; each name makes an empty ordering of the size asked for."""
    assert list(NAMES) == ["adaptive", "lru", "lfu", "fifo", "random"]
    assert NAMES[0] == DEFAULT
    assert type(ordering(DEFAULT, 5)) is Adaptive
    for name in NAMES:
        store = ordering(name, math.inf)
        assert isinstance(store, Evicting)
        assert (store.maxsize, len(store)) == (math.inf, 0)


@pytest.mark.parametrize("name", ["", "LRU", "none", None, 3, ["lru"]])
def test_unknown_name(name):
    """The error names the option, the value and what is allowed."""
    with pytest.raises(ValueError, match=r"eviction=.*allowed are 'adaptive', 'lru'") as caught:
        ordering(name, 5)
    assert repr(name) in str(caught.value)


def test_negative_maxsize():
    """As in cachetools."""
    with pytest.raises(ValueError, match="non-negative"):
        ordering("lru", -1)


def test_all_is_there():
    """What the module offers, it has."""
    assert all(hasattr(eviction, name) for name in eviction.__all__)
