"""A mapping that processes share: a folder with a file for each item."""

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["Folder"]


class Folder(MutableMapping[str, bytes]):
    """Keeps bytes under text, in the files of `path`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def _file(self, name: str) -> Path:
        return self.path / quote(name, safe="")

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, data: bytes) -> None:
        self._file(name).write_bytes(data)

    def __delitem__(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (unquote(file.name) for file in list(self.path.iterdir()))

    def __len__(self) -> int:
        return sum(1 for _ in self)
