"""The parts of one cache, and what they do for a flow that asks for it, in either colour."""

from __future__ import annotations

from .parts import Core, settled
from .tasks import AsyncCore
from .threads import SyncCore

__all__ = ["AsyncCore", "Core", "SyncCore", "settled"]
