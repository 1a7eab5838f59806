"""What somebody gets who installs the package: its names, its version, and what importing costs."""

import ast
import importlib
import importlib.metadata
import importlib.resources
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import memo

PROMISED = {
    *("cached", "Cache", "AsyncCache", "configure", "bypass"),
    *("Policy", "CALL", "RAISE", "STALE", "EVICT", "SKIP", "raise_as", "fallback"),
    *("CacheError", "Miss", "Expired", "Full", "OperationFailed"),
}
"""The public face: these names may not be renamed."""

PROMISED_FOR_TESTS = {"FakeTimer", "FaultyBackend", "BackendSuite"}

DEPENDENCIES = {"cachetools", "wrapt"}


def public_modules() -> Iterator[str]:
    """Yield the dotted name of every public module of the package."""
    yield "memo"
    for module in pkgutil.walk_packages(memo.__path__, prefix="memo."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield module.name


def source_of(module: str) -> str:
    """Return a module's source without running it: some need an extra that is not installed."""
    path = Path(memo.__path__[0], *module.split(".")[1:])
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")


def modules_loaded_by(statement: str) -> set[str]:
    """Run one statement in a fresh interpreter and return the modules that it brought in."""
    program = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", list(public_modules()))
def test_every_public_module_says_what_it_offers(module: str) -> None:
    """A public module lists its names in a literal `__all__`."""
    targets = {
        target.id
        for node in ast.parse(source_of(module)).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert "__all__" in targets


@pytest.mark.parametrize("module", ["memo", "memo.testing"])
def test_every_name_offered_exists_once(module: str) -> None:
    """`from memo import *` works, and no name is listed twice."""
    imported = importlib.import_module(module)
    assert len(imported.__all__) == len(set(imported.__all__))
    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []


def test_the_promised_names_are_there() -> None:
    """The names that people build on stay where they are."""
    testing = importlib.import_module("memo.testing")
    assert set(memo.__all__) >= PROMISED
    assert set(testing.__all__) >= PROMISED_FOR_TESTS


def test_importing_memo_needs_two_packages() -> None:
    """`import memo` loads nothing beyond wrapt, cachetools and the standard library."""
    packages = {name.partition(".")[0] for name in modules_loaded_by("import memo")}
    assert packages - sys.stdlib_module_names - DEPENDENCIES == {"memo"}


#: What few programs use, is needed by backends that can fail alone, or costs more than it gives.
RARE = {
    *("memo.cli", "memo.demo", "memo.integrations", "memo.testing"),
    *("memo.batch", "memo.many", "memo.prewarm", "memo.together"),
    *("memo.canonical", "memo.forms", "memo.places", "memo.serializers"),
    *("memo.backends.encoded", "memo.backends.objects", "memo.backends.urls"),
    *("memo.backends.memcached", "memo.backends.redis", "memo.backends.sqlite"),
    *("memo.eviction.classic", "memo.recovery"),
    *("memo.guard.awaiting", "memo.guard.blocking", "memo.guard.bounded", "memo.guard.circuit"),
    *("memo.guard.origins", "memo.guard.replays", "memo.guard.underway", "memo.guard.workers"),
    *("concurrent.futures.thread", "copy", "dataclasses", "hashlib", "http", "json"),
    *("multiprocessing", "pickle", "sqlite3"),
}


def test_importing_memo_leaves_the_rare_alone() -> None:
    """`import memo` is quick: what few programs use is loaded when it is used."""
    # asyncio is not on this list only because `import wrapt` itself brings it in.
    dependencies = modules_loaded_by("import cachetools, wrapt")
    assert (modules_loaded_by("import memo") - dependencies) & RARE == set()


STORE = """
import memo, sys

class Store:
    def __init__(self):
        self.kept = {}

    def read(self, key):
        return self.kept.get(key)

    def write(self, key, entry):
        self.kept[key] = entry

    def delete(self, key):
        return self.kept.pop(key, None) is not None

    def clear(self):
        self.kept.clear()
"""

USES = {
    "memory": ("f = memo.cached(abs)", "f(1); f(1); f.get(1); f.refresh(1); f.cache_info()"),
    "another ordering": ("f = memo.cached(abs, eviction='lru', ttl='5m')", "f(1); f(1)"),
    "a backend": ("f = memo.cached(abs, backend=Store(), ttl=5)", "f(1); f(1); f.cache_clear()"),
    "a default": ("memo.configure(backend=Store()); f = memo.cached(abs)", "f(1); f.invalidate(1)"),
    "many keys": ("c = memo.Cache(Store())", "c.get_many([1]); c.set_many({1: 2})"),
    "many ids": ("f = memo.cached.many(dict.fromkeys)", "f([1, 2]); f([2, 3])"),
}


@pytest.mark.parametrize(("made", "used"), USES.values(), ids=USES.keys())
def test_calls_import_nothing_of_memo(made: str, used: str) -> None:
    """What a cache needs is imported when it is made: no call meets an import, nor a fork one."""
    loaded = modules_loaded_by(f"{STORE}\n{made}\nbefore = set(sys.modules)\n{used}")
    assert {name for name in loaded if name.startswith("memo.")} == set()


def test_the_version_is_written_once() -> None:
    """`memo.__version__` is the version of the distribution."""
    assert memo.__version__ == importlib.metadata.version("memo-cache")


def test_type_checkers_may_look_inside() -> None:
    """The package carries the PEP 561 marker."""
    assert importlib.resources.files("memo").joinpath("py.typed").is_file()


def test_the_commands_are_there() -> None:
    """The pytest plugin and the `memo` command are found by their entry points and load."""
    scripts = importlib.metadata.entry_points(group="console_scripts", name="memo")
    plugins = importlib.metadata.entry_points(group="pytest11", name="memo")
    assert [callable(script.load()) for script in scripts] == [True]
    assert [plugin.load().__name__ for plugin in plugins] == ["memo.testing.plugin"]
