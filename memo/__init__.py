"""Memoization that may make a program faster, and never wrong, slow or dead."""

from ._version import __version__

__all__ = ["__version__"]
