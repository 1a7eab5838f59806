"""What every test shares: how hard Hypothesis tries, and a heap that is quick to search."""

import gc
import os

from hypothesis import settings

# No deadlines: on a busy machine they measure the neighbours. CI does not roll dice, so that a red
# run is about the change at hand; a developer's run does, and finds what CI then keeps.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_finish():
    """Many tests call `gc.collect()`, which need not look at thousands of collected tests."""
    gc.collect()
    gc.freeze()
