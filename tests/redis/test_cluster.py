"""Three masters: keys that move, masters that die, and clearing all of them; in both colours."""

import pytest
from redis.exceptions import ClusterDownError
from servers.process import wait_until
from servers.using_redis import both, entry, opened
from servers.valkey import ValkeyCluster, shared_cluster

from memo.backends.redis import Redis

#: How often a call may fail before what has changed is known.
TRIES = 5


@pytest.fixture
def cluster():
    """A cluster in which slots move, and which is whole again after each test."""
    return shared_cluster()


@pytest.fixture(params=both.args[1], ids=both.kwargs["ids"])
def backend(request, cluster):
    """A backend on the cluster, called plainly."""
    with opened(request.param, cluster.url) as plain:
        yield plain


def test_keys_are_spread(backend, cluster):
    """Every master has some of the keys, and many are read and written at once."""
    many = {n: entry(n) for n in range(500)}
    backend.write_many(many)
    names = [backend.name(n).encode() for n in many]
    held = [set(node.ask("KEYS", "*")) & set(names) for node in cluster.masters]
    assert all(held)
    assert sum(map(len, held)) == 500
    assert len(backend.read_many([*many, "none"])) == 500
    assert backend.delete(7) is True
    backend.ping()


def test_clear_clears_all_masters(backend, cluster):
    """A clear reaches every master, and leaves what is of others."""
    cluster.master_of("kept").ask("SET", "kept", "kept")
    backend.write_many({(f"f{n % 2}", n): entry(n) for n in range(500)})
    backend.clear_scope("f0")
    assert len(backend.read_many([(f"f{n % 2}", n) for n in range(500)])) == 250
    backend.clear()
    prefix = backend.name("").encode().split(b":")[0] + b":*"
    assert [node.ask("KEYS", prefix) for node in cluster.masters] == [[], [], []]
    assert cluster.master_of("kept").ask("GET", "kept") == b"kept"


def move(cluster, key, *, finish):
    """Begin to move the slot of `key` to another master, and finish it."""
    source = cluster.master_of(key)
    target = next(node for node in cluster.masters if node is not source)
    slot = source.ask("CLUSTER", "KEYSLOT", key)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
    source.ask("MIGRATE", target.host, target.port, "", 0, 5000, "REPLACE", "KEYS", key)
    if finish:
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.node_id)
        wait_until("all know", lambda: cluster.master_of(key) is target)
    return lambda: [
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.node_id) for node in (target, source)
    ]


def test_a_key_that_has_moved_is_found(backend, cluster):
    """The slot of a key goes to another master: no call fails for it."""
    backend.write("k", entry("value"))
    backend.write_many({n: entry(n) for n in range(100)})
    move(cluster, backend.name("k"), finish=True)
    assert backend.read("k").value == "value"
    backend.write("k", entry("other"))
    assert len(backend.read_many(["k", *range(100)])) == 101
    assert backend.delete("k") is True


def test_a_key_that_is_moving_is_found(backend, cluster):
    """A slot is half moved: its keys are found where they are, and new ones where they belong."""
    backend.write("k", entry("value"))
    backend.write_many({n: entry(n) for n in range(100)})
    finish = move(cluster, backend.name("k"), finish=False)
    try:
        for _ in range(2):
            assert backend.read("k").value == "value"
            assert len(backend.read_many(["k", *range(100)])) == 101
            backend.write("k", entry("value"))
        assert backend.delete("k") is True
    finally:
        finish()


def test_a_slot_that_nobody_has_fails_and_recovers(backend, cluster):
    """A part of the keys is nobody's: calls fail, for these; when it is somebody's, all is well."""
    backend.write("k", entry("value"))
    source = cluster.master_of(backend.name("k"))
    slot = source.ask("CLUSTER", "KEYSLOT", backend.name("k"))
    source.ask("DEL", backend.name("k"))
    for node in cluster.nodes:
        if node in cluster.masters:
            node.ask("CLUSTER", "DELSLOTS", slot)
    try:
        with pytest.raises(ClusterDownError):
            backend.read("k")
    finally:
        source.ask("CLUSTER", "ADDSLOTS", slot)
        cluster.settle()
    for _ in range(TRIES):
        try:
            found = backend.read("k")
        except ClusterDownError:
            continue
        assert found is None
        return
    raise AssertionError(f"still failing after {TRIES} calls")


def test_a_master_that_dies():
    """Its replica takes over, and both colours find its keys there, unasked."""
    with (
        ValkeyCluster(replicas=1) as cluster,
        opened(Redis, cluster.url) as plain,
        opened(lambda *_, **__: plain.backend.twin, None) as twin,
    ):
        for backend in (plain, twin):
            backend.write_many({n: entry(n) for n in range(100)})
        cluster.fail_over(plain.name("k"))
        for backend in (plain, twin):
            failures = []
            for _ in range(TRIES):
                try:
                    backend.write("k", entry("after"))
                except Exception as error:
                    failures.append(error)
            assert len(failures) < TRIES, failures
            assert backend.read("k").value == "after"
            backend.clear()
