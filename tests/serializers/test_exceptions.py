"""Cached exceptions: by reference to a class that is imported, or refused."""

from __future__ import annotations

import sys
import types

import pytest
from serializers.samples import FORMATS, NAME, SECRET, codecs

from memo import OperationFailed
from memo.entry import Entry, Raised
from memo.serializers import Codec

CODECS = [*codecs(), Codec("pickle", secrets=SECRET)]
each_codec = pytest.mark.parametrize("codec", CODECS, ids=[*FORMATS, "pickle"])


class NotFound(LookupError):
    """An exception as most are."""


class Picky(Exception):
    """One whose `__init__` wants something else than its arguments, and counts."""

    made = 0

    def __init__(self, code, *, detail):
        type(self).made += 1
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Slotted(Exception):
    """One with slots, one of which is never filled."""

    __slots__ = ("code", "empty")

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Own(Exception):
    """One that is made in its own way."""

    def __new__(cls, *args):
        return super().__new__(cls, *args)


class Fickle(Exception):
    """One that says something else each time."""

    def __str__(self):
        return str(id(self))


def again(codec, error):
    """What `codec` gives back for an exception."""
    entry = codec.decode(NAME, codec.encode(NAME, Entry(Raised(error), 1.5, 2.5)))
    assert type(entry.value) is Raised
    return entry.value.error


def caused(error, cause):
    """`error`, raised from `cause`."""
    error.__cause__ = cause
    return error


@each_codec
@pytest.mark.parametrize(
    "error",
    [
        NotFound(404),
        NotFound(),
        NotFound("a", (1, [2]), {"b": {3}}),
        KeyError("k"),
        OSError("just a text"),
        PermissionError(13, "No entry", "name.txt"),
        FileNotFoundError(2, "No such file", "name.txt", None, "other.txt"),
        ImportError("no", name="module", path="path"),
        StopIteration(3),
        Slotted(7),
        Picky(404, detail="gone"),
        OperationFailed("down", operation="read", key="k", codec=True),
    ],
    ids=ascii,
)
def test_an_exception_comes_back_as_it_was(codec, error):
    """Type, arguments, attributes, text and notes; without a traceback."""
    error.add_note("a note")
    back = again(codec, error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    for name in ("errno", "filename", "filename2", "lineno", "name", "path", "value", "code"):
        assert getattr(back, name, None) == getattr(error, name, None)
    assert back.__traceback__ is None


@each_codec
def test_a_cause_is_kept(codec):
    """It is what the function raised it from; the implicit context stays behind."""
    error = caused(NotFound(1), caused(KeyError("k"), OSError(5, "io")))
    back = again(codec, error)
    assert type(back.__cause__) is KeyError
    assert back.__cause__.args == ("k",)
    assert type(back.__cause__.__cause__) is OSError
    assert back.__suppress_context__
    assert back.__context__ is None


def test_no_constructor_is_run():
    """Neither when it is written, nor when it is read."""
    error = Picky(1, detail="x")
    before = Picky.made
    for codec in CODECS:
        assert again(codec, error).code == 1
    assert Picky.made == before


def local_error():
    """An exception whose class nobody can find by its name."""

    class Hidden(Exception):
        pass

    return Hidden(1)


@pytest.mark.parametrize("codec", codecs(), ids=FORMATS)
def test_what_could_not_be_made_again_is_refused(codec):
    """Classes without a name, arguments of other types, causes of this kind."""
    hidden = local_error()
    for error in (
        hidden,
        Own(1),
        Fickle(1),
        NotFound(object()),
        NotFound(NotFound(1)),
        caused(NotFound(1), hidden),
        ExceptionGroup("several", [NotFound(1)]),
        AttributeError("no", name="x", obj=object()),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("file", 1, 2, "text")),
        KeyboardInterrupt(),
        SystemExit(1),
    ):
        with pytest.raises(OperationFailed) as caught:
            again(codec, error)
        assert caught.value.codec


@each_codec
def test_an_annotation_says_nothing_of_exceptions(codec):
    """The function returns an int, or raises."""
    typed = Codec(codec.serializer, annotation=int, secrets=codec.secrets)
    assert again(typed, NotFound(404)).args == (404,)


@each_codec
def test_a_class_that_is_not_imported_is_not_imported(codec):
    """What the data names is looked for among the modules that are there."""
    module = types.ModuleType("not_there_tomorrow")
    module.Gone = type("Gone", (Exception,), {"__module__": module.__name__})
    sys.modules[module.__name__] = module
    try:
        data = codec.encode(NAME, Entry(Raised(module.Gone(1)), 1.5))
        assert type(codec.decode(NAME, data).value.error) is module.Gone
    finally:
        del sys.modules[module.__name__]
    with pytest.raises(OperationFailed, match=r"not_there_tomorrow.*is not imported"):
        codec.decode(NAME, data)
