"""The text of a key: short and printable, its own scope's alone, the same in every process."""

from __future__ import annotations

import datetime as dt
import http
import ipaddress
import itertools
import math
import os
import statistics
import string
import subprocess
import sys
import textwrap
import uuid
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pure.specimens import BERLIN, TWICE, UTC, KeyedTuple, Letter, Name, Point

from memo.canonical import key_text, module_identity, namespace_text, scope_text
from memo.keys import _KEYWORDS, _OMITTED, _TYPES, freeze

PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation)

#: The whole figure is a million: `HOSTILE_KEYS=1000000 pytest tests/pure/test_canonical.py`.
HOSTILE = int(os.environ.get("HOSTILE_KEYS", "20000"))


#: Names as no one would choose them.
HOSTILE_WORDS = [
    *(
        "",
        ":",
        "::",
        "%",
        "%3A",
        "~",
        "a",
        "a:b",
        "a:",
        ":a",
        "*",
        "a*",
        "[a]",
        "?",
        "\\",
        "^",
        "-",
    ),
    *("'", '"', "`", "a b", "a\r\nb", "\0", "é", "e\u0301", "\ud800", "é" * 10_000),
    *("x" * size for size in (60, 61, 90, 91, 10_000, 10_001)),
]


def test_a_text_is_short_printable_ascii():
    """Of every namespace, scope and key; no pattern of a server finds anything special in it."""
    for namespace, scope in itertools.product(HOSTILE_WORDS, repeat=2):
        made = key_text(namespace, (scope, (scope, b"\r\n" * 1000)))
        assert len(made) <= 200
        assert PRINTABLE.issuperset(made)
        assert not set("*?[]\\^'\"`").intersection(made)
        assert made.startswith(scope_text(namespace, scope))
        assert scope_text(namespace, scope).startswith(namespace_text(namespace))
        assert made.count(":") == 2


def test_no_two_scopes_or_namespaces_meet():
    """What one begins with, no other does, with or without a scope; so clearing is exact."""
    pairs = list(itertools.product(HOSTILE_WORDS, HOSTILE_WORDS))
    prefixes = [scope_text(*pair) for pair in pairs]
    assert len(set(prefixes)) == len(pairs)
    prefixes += [key_text(namespace, 1)[:-40] for namespace in HOSTILE_WORDS]
    for one, other in itertools.pairwise(sorted(prefixes)):
        assert not other.startswith(one)
    namespaces = sorted(map(namespace_text, HOSTILE_WORDS))
    for one, other in itertools.pairwise(namespaces):
        assert not other.startswith(one)


@given(st.lists(st.tuples(st.text("ab:%~é", max_size=70), st.text("ab:%~é", max_size=100))))
def test_scopes_of_any_text_keep_apart(pairs):
    """As above, for any texts."""
    prefixes = sorted({scope_text(*pair) for pair in pairs})
    assert len(prefixes) == len(set(pairs))
    assert not any(other.startswith(one) for one, other in itertools.pairwise(prefixes))


def test_what_is_readable_stays_so():
    """A usual scope stands in the text as it is; a long one is recognised by its end."""
    assert key_text("app", ("shop.prices.fetch@2", (1,))).startswith("app:shop.prices.fetch@2:")
    assert scope_text("app", "/srv/" + "x" * 200 + "/script.py.fetch").endswith("/script.py.fetch:")
    assert key_text("app", 1).startswith("app::")


def test_a_pair_with_a_text_in_front_has_a_scope_whatever_its_type():
    """Equal keys have one text here too."""
    assert (
        len({key_text("n", key) for key in (("a", 1), (Letter.A, 1.0), Point(Name("a"), 1))}) == 1
    )
    assert key_text("n", KeyedTuple(("a", 1))).startswith("n::")


def hostile_keys(count):
    """Keys made of what formats trip over, each different from all others."""
    pieces = ["", "(", ")", "i1;", "s1:", ":", "\0", "\r\n", "é", "{", "}", "!", "c", b"", b"i1;"]
    pieces += [(), (1,), frozenset(), None, 0, 1, -1, 0.5]
    sizes = itertools.count()
    made = (key for size in sizes for key in itertools.product(pieces, repeat=size))
    return itertools.islice(made, count)


def test_hostile_keys_do_not_collide():
    """So many of them have so many texts."""
    assert len({key_text("n", ("s", key)) for key in hostile_keys(HOSTILE)}) == HOSTILE


GOLDEN = [
    ((), "c61fcf46b117319fdb8fbe69ca85877c6c81c152"),
    ((1, -255, 2**70), "076557aded7b756f47b0cddd7e5b081905ed9b8a"),
    ((0.1, Fraction(-1, 3), 1 + 2j), "b424f9d17448cb7d1175037f0c3538ea885c675a"),
    ((math.inf, -math.inf, math.nan, Decimal("NaN")), "d0e18a52a5a49d04327ba9a9b3aed0fad11f8cda"),
    (("", "a", "é", "\ud800"), "807ff9c63338b349d5ed4acb32a26f7bfd58a129"),
    ((b"", b"a\0"), "53477e33c1f55518ebd2e28736cbd5abafa6139d"),
    ((None, ..., NotImplemented), "93f62cc465e71c7b7fed3e9fc960d062af443565"),
    ((1, (2, (3,)), frozenset({1, "a", None})), "4411a10f45f91649fbd3f7f11fa3feb79ecb878a"),
    ((range(1, 9, 2), range(0), range(5, 6)), "04ca635c75cc69193d1cca471086d1fe4c7fb274"),
    (
        (uuid.UUID(int=2**100), ipaddress.ip_interface("10.0.0.1/8")),
        "68b53bc9a777facbd94883bb28c778da8a91d622",
    ),
    ((PurePosixPath("/A/b"), PureWindowsPath("C:/A")), "3f78a7c9e7463b68bd8dc27bc89c4284acbd94ac"),
    (
        (dt.date(2024, 2, 29), TWICE),
        "6990bd3fb553c5a23e380cffd3859c11e90eeaa0",
    ),
    (
        (dt.datetime(2024, 2, 29, tzinfo=BERLIN), TWICE.replace(tzinfo=BERLIN)),
        "0ec13f644e9f82c4de8ed43fb2fdebce7525b798",
    ),
    (
        (dt.time(1, 2, 3, 4), dt.time(1, tzinfo=UTC), dt.timedelta(-1, 2, 3)),
        "9b5f42f4adc568f93031d8ee06eddd5c78c8082d",
    ),
    (
        (UTC, dt.timezone(dt.timedelta(hours=-5)), BERLIN),
        "d777dab50e9e2c730e3c3c6bb51446d77cf73896",
    ),
    (
        (uuid.SafeUUID.safe, http.HTTPStatus.OK, http.HTTPMethod.GET),
        "c64571f5abaae01da4a34e66086a78531cae4bf2",
    ),
    ((int, OrderedDict, len, statistics.mean), "25697dd688fa37ea02f8c3b4f90f27ebb9b36736"),
    (
        (1, _KEYWORDS, "a", 2, _TYPES, int, str, _OMITTED),
        "ab59651e82bbb9a6aeb6ff3ce5a28f4af18fe402",
    ),
    (
        freeze(([1], {2}, {"a": [3]}, OrderedDict(a=1), bytearray(b"4"))),
        "9e28247e77a139fdb205b7092897449a4e7bc390",
    ),
]


@pytest.mark.parametrize(("key", "digest"), GOLDEN)
def test_texts_stay_as_they_were(key, digest):
    """A change of any would turn every cache out there cold: it is to be meant, and told."""
    assert key_text("memo", ("scope", key)) == f"memo:scope:{digest}"


SCRIPT = """
import datetime, enum, multiprocessing, sys
from dataclasses import dataclass
from memo.canonical import key_text
from memo.keys import freeze

class Colour(enum.Enum):
    RED = 1

@dataclass(frozen=True)
class Item:
    name: str

def function():
    pass

def texts():
    words = frozenset(map(str, range(50)))
    keys = [words, freeze({w: [w] for w in words}), Colour.RED, Item("a"), Item, function, ("a", 1)]
    return [key_text("n", ("s", (key,))) for key in keys]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*texts(), *pool.apply(texts))
"""


def test_every_process_writes_the_same(tmp_path):
    """Whatever its hash seed and directory, as the script that was started or as its child."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "link.py").symlink_to(script)
    printed = [
        subprocess.run(
            [sys.executable, name],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for name, seed, cwd in (("script.py", "1", tmp_path), (tmp_path / "link.py", "2", "/"))
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 14
    assert printed[0][:7] == printed[0][7:]
    assert len(set(printed[0])) == 7


def test_what_has_no_file_has_no_lasting_identity():
    """Two programs that were typed in must not answer for each other."""
    program = """
        from memo.canonical import key_text, module_identity
        class Local: pass
        assert module_identity("__main__") is None
        assert module_identity("json") == "json"
        try:
            key_text("n", Local)
        except Exception as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "has no stable form on a shared backend: it was not read from a file" in done.stdout


def test_modules_are_called_by_their_name():
    """All but the script."""
    assert module_identity("shop.prices") == "shop.prices"
