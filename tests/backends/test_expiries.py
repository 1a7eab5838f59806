"""Expiries: what expires next is found without a sweep."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from memo.backends.expiries import Expiries
from memo.entry import FOREVER


def node(created, ttl, window=0.0):
    """A node as a store has it."""
    return SimpleNamespace(
        created=created,
        expires=created + ttl,
        kept_until=created + ttl + window,
        older=None,
        newer=None,
    )


def drained(expiries, now, *, dead=False):
    """All that `first` gives until it gives None, each discarded."""
    found = []
    while (one := expiries.first(now, dead=dead)) is not None:
        expiries.discard(one)
        found.append(one)
    return found


def test_nothing_is_found_before_its_time():
    """A node is found from the moment it expires, and not before."""
    expiries = Expiries()
    one = node(10.0, 5.0)
    expiries.add(one)
    assert expiries.first(14.999, dead=False) is None
    assert expiries.first(15.0, dead=False) is one


def test_what_is_in_its_stale_window_is_expired_but_not_dead():
    """With `dead` a node is found when its stale window is over."""
    expiries = Expiries()
    one = node(10.0, 5.0, window=20.0)
    expiries.add(one)
    assert expiries.first(15.0, dead=True) is None
    assert expiries.first(15.0, dead=False) is one
    assert expiries.first(35.0, dead=True) is one


def test_what_never_expires_stands_in_no_line():
    """A node without an expiry is never found, and can be discarded all the same."""
    expiries = Expiries()
    one = node(10.0, FOREVER)
    expiries.add(one)
    assert expiries.first(1e300, dead=False) is None
    expiries.discard(one)
    expiries.discard(one)


def test_a_node_can_leave_and_come_back():
    """A discarded node is not found until it is added again, with other times if need be."""
    expiries = Expiries()
    one, other = node(0.0, 5.0), node(1.0, 5.0)
    expiries.add(one)
    expiries.add(other)
    expiries.discard(one)
    assert drained(expiries, 100.0) == [other]
    one.created, one.expires, one.kept_until = 200.0, 201.0, 201.0
    expiries.add(one)
    assert expiries.first(200.5, dead=False) is None
    assert drained(expiries, 201.0) == [one]


def test_lines_that_are_empty_are_let_go():
    """Lifetimes that occur no more leave nothing behind."""
    expiries = Expiries()
    for number in range(200):
        expiries.add(node(0.0, 1.0 + number))
    assert len(drained(expiries, 1000.0)) == 200
    assert not expiries._lines


def test_clear_lets_all_go():
    """After `clear` nothing is found, and what is added afterwards is."""
    expiries = Expiries()
    expiries.add(node(0.0, 1.0))
    expiries.clear()
    assert expiries.first(100.0, dead=False) is None
    late = node(100.0, 1.0)
    expiries.add(late)
    assert expiries.first(101.0, dead=False) is late


def test_lifetimes_of_every_scale_are_told_apart():
    """From nanoseconds to centuries, the shortest is found when only it has expired."""
    expiries = Expiries()
    nodes = [node(0.0, 10.0**power) for power in range(-9, 10)]
    for one in reversed(nodes):
        expiries.add(one)
    for one in nodes:
        assert drained(expiries, one.expires) == [one]


def test_a_lifetime_may_be_nothing_or_less():
    """An entry that was expired when it was written is found at once."""
    expiries = Expiries()
    nodes = [node(10.0, 0.0), node(10.0, -5.0)]
    for one in nodes:
        expiries.add(one)
    assert len(drained(expiries, 10.0)) == 2


TIMES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 5.0]),  # seconds since the one before
        st.sampled_from([0.5, 0.51, 1.0, 1.02, 3.0, 10.0, 10.1, 1000.0, FOREVER]),
        st.sampled_from([0.0, 1.0, 100.0, FOREVER]),
    ),
    max_size=50,
)


@given(TIMES, st.floats(0, 2000), st.booleans(), st.sets(st.integers(0, 49)))
def test_finds_exactly_what_has_expired(times, later, dead, discarded):
    """Of a few dozen nodes stored in order, all that have expired are found, and no others."""
    expiries = Expiries()
    now = 0.0
    nodes = []
    for wait, ttl, window in times:
        now += wait
        nodes.append(node(now, ttl, window))
        expiries.add(nodes[-1])
        expiries.first(now, dead=dead)  # a search in between must not hide anything from later ones
    left = [one for number, one in enumerate(nodes) if number not in discarded]
    for number in discarded:
        if number < len(nodes):
            expiries.discard(nodes[number])
    now += later
    due = [one for one in left if now >= (one.kept_until if dead else one.expires)]
    found = drained(expiries, now, dead=dead)
    assert {id(one) for one in found} == {id(one) for one in due}
    assert len(found) == len(due)


@given(TIMES)
def test_a_node_is_found_as_time_goes_by(times):
    """Searching at every step finds each node by the time it has expired."""
    expiries = Expiries()
    now = 0.0
    waiting = []
    for wait, ttl, window in times:
        now += wait
        for one in drained(expiries, now):
            assert one.expires <= now
            waiting.remove(one)
        assert all(now < one.expires for one in waiting)
        waiting.append(node(now, ttl, window))
        expiries.add(waiting[-1])
