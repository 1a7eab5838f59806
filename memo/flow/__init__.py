"""Every decision memo takes, as generators that do nothing themselves.

A flow yields what it wants done (a `Step`) and is sent what came of it; a cache error that a step
met is thrown in, an exception of the user's function is sent in as the value `Raised(error)`. What
a flow returns is what its caller gets: a value, a `Raised` (an exception of the user's), or a
`Refusal` (an exception of ours, or what the policy made of it). So a flow needs no loop, clock or
backend, and can be stepped by hand:

    flow = call("k", rules, stats)
    next(flow) == Read("k")
    flow.send(None) == Join("k")
"""

from __future__ import annotations

from ..steps import (
    ALONE,
    FAILED,
    HELD,
    LATE,
    Absorb,
    Admit,
    Clear,
    Covered,
    Delete,
    Evict,
    Followed,
    Join,
    Load,
    LoadBehind,
    Read,
    Refresh,
    Refusal,
    Step,
    Watch,
    Write,
)
from .calling import call, reload, renew, unkeyed
from .looking import get, look, refused
from .rules import Flow, Rules, plain
from .storing import clear, delete, keep, store, untouched

__all__ = [
    "ALONE",
    "FAILED",
    "HELD",
    "LATE",
    "Absorb",
    "Admit",
    "Clear",
    "Covered",
    "Delete",
    "Evict",
    "Flow",
    "Followed",
    "Join",
    "Load",
    "LoadBehind",
    "Read",
    "Refresh",
    "Refusal",
    "Rules",
    "Step",
    "Watch",
    "Write",
    "call",
    "clear",
    "delete",
    "get",
    "keep",
    "look",
    "plain",
    "refused",
    "reload",
    "renew",
    "store",
    "unkeyed",
    "untouched",
]
