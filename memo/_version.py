"""The version, written once: the build reads this literal, and no import pays to look it up."""

__all__ = ["__version__"]

__version__ = "0.1.0"
