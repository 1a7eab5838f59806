"""The pytest plugin."""

import pytest

pytest.register_assert_rewrite("memo.testing.suite")
