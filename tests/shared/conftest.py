"""What the tests of shared stores have in common: patience."""

from collections.abc import Iterator

import pytest

from memo import Policy, configure
from memo.configuration import configured, restore


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A store that answers late on a busy machine is not what these tests are about.

    What a test configures does not outlast it.
    """
    before = configured()
    configure(policy=Policy(timeout=30))
    yield
    restore(before)
