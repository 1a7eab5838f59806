"""What is imported when: schemes that others bring, extras that are missing, and no more."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def python(code: str, *path: Path, **environment: str) -> str:
    """What an interpreter of its own prints, which must end well and in silence."""
    places = [TESTS, *path, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), **environment},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


PLUGIN = """
    from shared.kept import Kept

    made = []

    def kept(url):
        made.append(url)
        return Kept()

    def nothing(url):
        return 5

    def fails(url):
        raise ValueError(f"backend={url.split('@')[-1]!r}: no such place")
    """

ENTRIES = """
    [memo.backends]
    kept = kept_plugin:kept
    nothing = kept_plugin:nothing
    fails = kept_plugin:fails
    gone = kept_plugin_that_is_gone:kept
    redis = kept_plugin:nothing
    """


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder with a distribution that brings schemes of its own."""
    (tmp_path / "kept_plugin.py").write_text(textwrap.dedent(PLUGIN))
    info = tmp_path / "kept_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kept-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(textwrap.dedent(ENTRIES))
    return tmp_path


def test_others_bring_schemes(plugin: Path) -> None:
    """The entry point of the scheme's name is called with the URL, once for each URL."""
    said = python(
        """
        from memo import cached
        from memo.backends.resolve import adopt
        import kept_plugin

        def f(number):
            return number

        one = adopt("kept://a?x=1")
        print(type(one).__name__, adopt("kept://a?x=1") is one, adopt("kept://b") is one)
        g = cached(backend="kept://a?x=1", name="f")(f)
        g(1)
        print(len(one.held), kept_plugin.made)
        """,
        plugin,
    )
    assert said == "Kept True False\n1 ['kept://a?x=1', 'kept://b']\n"


def test_a_bad_plugin_is_named(plugin: Path) -> None:
    """What it does wrong is said; our own schemes are not its to take."""
    said = python(
        """
        from memo.backends.resolve import adopt

        for url in ("nothing://u:pw@h", "fails://u:pw@h", "gone://u:pw@h", "nowhere://"):
            try:
                adopt(url)
            except (ImportError, TypeError, ValueError) as error:
                print(type(error).__name__, error)
        try:
            adopt("redis://localhost:1?nonsense=1")
        except ValueError as error:
            print("ours")
        """,
        plugin,
    ).splitlines()
    assert said[0].startswith("TypeError backend='nothing://")
    assert "plug-in" in said[0]
    assert said[1] == "ValueError backend='h': no such place"
    assert said[2].startswith("ImportError backend='gone://")
    assert "kept_plugin_that_is_gone" in said[2]
    assert "kept://" in said[3]
    assert said[4] == "ours"
    assert "pw" not in "".join(said)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("redis://localhost", "redis", "redis"),
        ("redis://localhost", "msgspec", "redis"),
        ("memcached://localhost", "pymemcache", "memcached"),
        ("memcached://localhost", "msgspec", "memcached"),
        ("sqlite:///x.db", "msgspec", "sqlite"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    url: str, module: str, extra: str, tmp_path: Path
) -> None:
    """One ImportError, at decoration, that names what is missing and the extra that brings it."""
    said = python(
        f"""
        import os
        import sys
        os.chdir({str(tmp_path)!r})
        sys.modules[{module!r}] = None  # as if it were not installed
        from memo import cached
        try:
            cached(backend={url!r})
        except ImportError as error:
            print(error)
        """
    )
    assert module in said
    assert "pip install" in said
    assert extra in said
    assert "memo-cache" in said


def test_importing_memo_imports_no_client() -> None:
    """Nor does using it in memory, or decorating for a URL of a store in this process."""
    assert (
        python("""
        import sys
        import memo
        import memo.backends

        @memo.cached(backend="memory://")
        def f(number):
            return number

        f(1)
        memo.configure(backend="memory://")
        clients = {"redis", "msgspec", "pymemcache", "sqlite3", "django"}
        clients |= {"backports.zstd", "compression.zstd", "hmac"}
        print(sorted(clients & set(sys.modules)))
        """)
        == "[]\n"
    )
