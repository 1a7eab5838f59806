"""Codecs: entries as bytes, for the stores that hold bytes.

Nothing here imports msgspec before the first `Codec` for it is made.
"""

from .codec import MAX_INFLATED, Codec, codec_of

__all__ = ["MAX_INFLATED", "Codec", "codec_of"]
