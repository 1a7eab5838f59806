"""How long one call may be held up by its backend."""

from __future__ import annotations

__all__ = ["Budget"]


class Budget:
    """The time that one call may spend on backends, over all its operations.

    Attributes:
        seconds: what there was to begin with.
        left: seconds that are left; less than zero where the last operation took longer.
    """

    __slots__ = ("left", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds

    def __repr__(self) -> str:
        return f"<Budget {self.left:.3g} s left of {self.seconds:g} s>"
