"""Compression of payloads, and inflating them within a bound."""

from __future__ import annotations

import functools
import zlib
from importlib import import_module
from typing import Any, Final

from ..errors import OperationFailed
from .refusals import refused

__all__ = ["compressed", "inflated", "is_compressed"]

# How a payload is compressed stands in the upper byte of its form.
_ZLIB: Final = 0x100
_ZSTD: Final = 0x200
_METHODS: Final = 0xFF00

_SMALLEST_WINDOW: Final = 10
_LARGEST_WINDOW: Final = 27


@functools.lru_cache(maxsize=1)
def _zstd() -> Any:
    """The module for zstd (RFC 8878): Python's own from 3.14 on, or its backport, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def is_compressed(form: int) -> bool:
    """Whether a payload of this form is compressed."""
    return bool(form & _METHODS)


def compressed(form: int, data: bytes) -> tuple[int, bytes]:
    """The form and payload that stand for these; the same where compressing gains nothing."""
    zstd = _zstd()
    method = _ZLIB if zstd is None else _ZSTD
    smaller = zlib.compress(data) if zstd is None else zstd.compress(data)
    return (form | method, smaller) if len(smaller) < len(data) else (form, data)


def inflated(form: int, data: bytes, most: int) -> tuple[int, bytes]:
    """The form and payload that `compressed` was given, if it was of at most `most` bytes.

    No more than that is ever held, whatever the data says of itself.

    Raises:
        OperationFailed: it is more, or cut, or followed by something, or of no known method.
    """
    inflater = _inflater(form & _METHODS, data, most)
    whole: bytes = inflater.decompress(data, most + 1)
    if len(whole) > most:
        raise _too_much(most)
    if not inflater.eof or inflater.unused_data:
        raise refused("its compressed payload is cut, or something follows it")
    return form & ~_METHODS, whole


def _inflater(method: int, data: bytes, most: int) -> Any:
    if method == _ZLIB:
        return zlib.decompressobj()
    if method != _ZSTD:
        raise refused(f"it is compressed by an unknown method ({method >> 8})")
    zstd = _zstd()
    if zstd is None:
        raise refused("it is compressed by zstd; install backports.zstd")
    said = zstd.get_frame_info(data).decompressed_size
    if said is not None and said > most:
        raise _too_much(most)
    # The window is memory, too, and a frame asks for the size it wants.
    window = min(max(most.bit_length(), _SMALLEST_WINDOW), _LARGEST_WINDOW)
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})


def _too_much(most: int) -> OperationFailed:
    return refused(f"it inflates to more than {most} bytes")
