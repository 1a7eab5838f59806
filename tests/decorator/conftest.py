"""What the tests of the decorator share: a colour to run them in, and a clock."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from decorator.colours import colour, no_collection, timer

__all__ = ["colour", "no_collection", "timer"]


class FailingMapping(MutableMapping[Any, Any]):
    """A mapping whose operations fail: all while `failing` is True, else those it names."""

    def __init__(self, failing: bool | tuple[str, ...] = True) -> None:
        self.failing = failing
        self.held: dict[Any, Any] = {}

    def _check(self, operation: str) -> None:
        if self.failing is True or (self.failing and operation in self.failing):
            raise ConnectionError("no connection")

    def __getitem__(self, key: Any) -> Any:
        self._check("read")
        return self.held[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check("write")
        self.held[key] = value

    def __delitem__(self, key: Any) -> None:
        self._check("delete")
        del self.held[key]

    def __iter__(self) -> Iterator[Any]:
        self._check("clear")
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


@pytest.fixture
def failing_mapping() -> type[FailingMapping]:
    """Mappings that fail to order."""
    return FailingMapping
