"""What tells whether stored bytes are as they were written.

A checksum finds accidents: flipped bits, a cut. A signature (see `signing`) also finds everybody
who does not have the secret. Which of the two it is, and by which algorithm, is the reader's own
setting: nothing in the data chooses it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from hashlib import sha256
from typing import ClassVar, Final

__all__ = ["Checksum", "Seal"]

#: A copy of one that has been fed nothing is there in half the time that a new one takes.
_SHA256: Final = sha256()


class Seal(ABC):
    """Marks bytes, and tells whether a mark belongs to bytes.

    Attributes:
        size: bytes of a mark.
    """

    size: ClassVar[int]

    @abstractmethod
    def mark(self, data: bytes) -> bytes:
        """The mark of `data`."""

    @abstractmethod
    def holds(self, data: bytes, mark: bytes) -> bool:
        """Whether `mark` is a mark of `data`."""


class Checksum(Seal):
    """SHA-256, cut to eight bytes: processors have instructions for it."""

    size = 8

    def mark(self, data: bytes) -> bytes:
        """The checksum of `data`."""
        checksum = _SHA256.copy()
        checksum.update(data)
        return checksum.digest()[:8]

    def holds(self, data: bytes, mark: bytes) -> bool:
        """Whether `mark` is the checksum of `data`."""
        checksum = _SHA256.copy()
        checksum.update(data)
        return checksum.digest()[:8] == mark
