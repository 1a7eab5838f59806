"""Rings of nodes, each known by its oldest; whoever is before it is the newest.

To spare the oldest is to call the next one the oldest: nothing moves. To take any node out of its
ring is two stores, and whoever held it last can let go of it at once.
"""

from collections.abc import Hashable, Iterable
from typing import Any

from .node import Node

__all__ = ["NOWHERE", "RingNode", "join", "members", "part", "ring_of", "sever"]

NOWHERE: Any = None


class RingNode(Node):
    """A node in one of several rings: which, `state` says; since when, `epoch`."""

    __slots__ = ("epoch", "next", "prev", "state")

    transient = frozenset({"next", "prev"})

    prev: "RingNode"
    next: "RingNode"
    epoch: int

    def __init__(self, key: Hashable, value: Any, size: float = 1) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.used = False
        self.state = 0


def join(node: RingNode, oldest: RingNode | None) -> RingNode:
    """Make `node` the newest of a ring; returns the oldest."""
    if oldest is None:
        node.prev = node.next = node
        return node
    newest = oldest.prev
    node.prev = newest
    node.next = oldest
    newest.next = oldest.prev = node
    return oldest


def part(node: RingNode, oldest: RingNode | None) -> RingNode | None:
    """Take `node` out of its ring; returns the oldest of what is left."""
    after = node.next
    if after is node:
        node.prev = node.next = NOWHERE
        return None
    before = node.prev
    before.next = after
    after.prev = before
    node.prev = node.next = NOWHERE
    return after if node is oldest else oldest


def members(oldest: RingNode | None) -> list[RingNode]:
    """The nodes of a ring, oldest first."""
    found: list[RingNode] = []
    node = oldest
    while node is not None:
        found.append(node)
        node = node.next if node.next is not oldest else None
    return found


def ring_of(nodes: Iterable[RingNode]) -> RingNode | None:
    """A ring of `nodes`, which come oldest first; returns the oldest."""
    oldest: RingNode | None = None
    for node in nodes:
        oldest = join(node, oldest)
    return oldest


def sever(nodes: Iterable[RingNode]) -> None:
    """Undo rings altogether: neighbours hold each other, and would wait for the collector."""
    for node in nodes:
        node.prev = node.next = NOWHERE
