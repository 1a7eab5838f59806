"""Who a call is on a store that other processes see: the same in each of them, and nobody else."""

import json
import os
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from shared import programs
from shared.kept import Kept

from memo import cached
from memo.canonical import key_text

TESTS = Path(__file__).parents[1]


def python(*arguments: str, folder: Path | None = None, **environment: str) -> str:
    """What an interpreter of its own prints, which must end well and in silence."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_two_processes_call_the_same_calls_the_same() -> None:
    """The texts of all keys are equal in processes with other hashes of strings."""
    mine = programs.texts()
    code = "import json; from shared import programs; print(json.dumps(programs.texts()))"
    for seed in ("1", "2"):
        assert json.loads(python("-c", code, PYTHONHASHSEED=seed)) == mine


def test_different_calls_are_called_differently() -> None:
    """Only calls that are one in memory, too, have one text."""
    by_text = defaultdict(set)
    for call, text in programs.texts().items():
        by_text[text].add(call)
    shared = [calls for calls in by_text.values() if len(calls) > 1]
    assert shared == [{"f(1)", "f(1, 2)", "f(b=2, a=1)", "f(1.0)", "f(True)"}]


def test_texts_say_whose_they_are() -> None:
    """A text begins with the namespace and the function, and is fit for any server."""
    for text in programs.texts().values():
        assert text.startswith("app:shared.programs|")
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
        assert len(text) <= 200


def test_one_process_answers_for_the_other(tmp_path: Path) -> None:
    """What one process stored, the other finds; what that one invalidates, is gone in the first."""

    def there(code: str) -> str:
        head = "import memo; memo.configure(policy=memo.Policy(timeout=30))\n"
        head += "from shared.programs import f, many, Account; account = Account(5)\n"
        return python("-c", head + textwrap.dedent(code), SHARED_FOLDER=str(tmp_path))

    there("f.set(10, 1); account.balance.set(20); many.set(30, 1)")
    assert there("print(f(1), account.balance(), many([1, 2]), f.cache_info()[:2])") == (
        "10 20 {1: 30, 2: 1} (1, 0)\n"
    )
    assert there("print(f.invalidate(1), account.balance.invalidate())") == "True True\n"
    assert there("print(f.lookup(1).status, account.balance(), many.get(2))") == "miss 5 1\n"
    there("type(account).balance.cache_clear()")
    assert there("print(account.balance.lookup().status, many.get(1))") == "miss 30\n"


def _doubled(number: int) -> int:
    return 2 * number


def test_name_and_version_are_part_of_it() -> None:
    """`name` takes the place of the qualified name, and `version` is beside it."""

    def scope(**options: Any) -> Any:
        return cached(backend=Kept(), **options)(_doubled).cache_key(1)[0]

    plain = scope()
    assert plain == f"{__name__}|_doubled"
    assert scope(name="_doubled") == plain
    assert scope(version=1) == scope(version="1")
    assert len({plain, scope(name="other"), scope(version=1), scope(version=2)}) == 4
    # No name can be made to look like another function's version, or another module's function.
    assert scope(name="_doubled@1") != scope(version=1)
    assert scope(name="x@1", version=2) != scope(name="x", version="1@2")
    assert scope(name="a|b") != scope(name="a||b")


@pytest.mark.parametrize("version", [1.5, True, ("a", 1), b"1"])
def test_versions_are_text_or_whole_numbers(version: Any) -> None:
    """Whatever else has no text that would last is refused."""
    with pytest.raises(TypeError, match="version="):
        cached(backend=Kept(), version=version)(_doubled)


def test_a_script_is_known_by_its_path(tmp_path: Path) -> None:
    """`__main__` is another program in each script, and the same one each time it is run."""
    code = textwrap.dedent("""
        from memo import cached
        from memo.canonical import key_text
        from shared.kept import Kept

        @cached(backend=Kept())
        def f(number):
            return number

        class Account:
            def __cache_key__(self):
                return 1

        if __name__ == "__main__":
            print(key_text("memo", f.cache_key(1)), key_text("memo", f.cache_key(Account())))
    """)
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(code)
    other.write_text(code)
    link = tmp_path / "link.py"
    link.symlink_to(one)
    first = python(str(one))
    assert python(str(one)) == first
    assert python(str(link)) == first
    assert python(str(other)) != first
    assert python("one.py", folder=tmp_path) == first


def test_the_children_of_a_script_are_that_script(tmp_path: Path) -> None:
    """A process that multiprocessing spawns calls the script's functions what the script does."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import multiprocessing
            from memo import cached
            from shared.kept import Kept

            @cached(backend=Kept())
            def f(number):
                return number

            def key():
                return f.cache_key(1)

            if __name__ == "__main__":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print(pool.apply(key) == key())
        """)
    )
    assert python(str(script)) == "True\n"


def test_what_is_typed_in_needs_a_name() -> None:
    """A function without a module that others could find is refused, unless it is named."""
    code = textwrap.dedent("""
        from memo import cached
        from shared.kept import Kept

        def f(number):
            return number

        try:
            cached(backend=Kept())(f)
        except ValueError as error:
            print(error)
        print(cached(backend=Kept(), name="f")(f)(1))
    """)
    said = python("-c", code).splitlines()
    assert "name" in said[0]
    assert said[1] == "1"


def test_functions_of_one_name_in_two_modules_do_not_meet() -> None:
    """The module is part of the identity."""
    assert programs.f.cache_key(1) != _other_f.cache_key(1)
    assert key_text("app", programs.f.cache_key(1)) != key_text("app", _other_f.cache_key(1))


@cached(backend=Kept())
def _other_f(a: Any, b: Any = 2, *more: Any, **options: Any) -> int:
    return 1


_other_f.__wrapped__.__qualname__ = "f"
