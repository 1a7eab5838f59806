"""One call of a cached function, from the first look to the answer.

A turn does what a flow asks for, with the parts of one cache (`memo.core`). It stops where the
function is to be called, so that the caller's own frame can do that: in a recursive function every
frame in between costs depth.
"""

from .looks import AsyncLook, look
from .tasks import AsyncTurn, refresh_in_task
from .threads import PlainTurn, Turn, refresh_behind, take_off

__all__ = [
    "AsyncLook",
    "AsyncTurn",
    "PlainTurn",
    "Turn",
    "look",
    "refresh_behind",
    "refresh_in_task",
    "take_off",
]
