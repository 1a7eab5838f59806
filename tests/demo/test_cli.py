"""The command `memo`."""

import subprocess
import sys

import pytest

import memo
from memo.cli import main


def run(*arguments, code=None):
    """Run Python with `arguments` in a process of its own."""
    start = ["-c", code] if code else ["-m", "memo"]
    return subprocess.run(
        [sys.executable, "-W", "error", *start, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_alone_it_prints_help(capsys):
    """Without arguments the command says what it can do, and has not failed."""
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "usage: memo" in out
    assert "demo" in out
    assert "--version" in out


def test_version(capsys):
    """`memo --version` prints the distribution's name and version."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"memo-cache {memo.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["dmeo"], "invalid choice: 'dmeo'"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
        (["demo", "--seconds", "soon"], "'soon': takes a number of seconds from 2 to 25"),
        (["demo", "--seconds", "1"], "'1': takes a number of seconds from 2 to 25"),
        (["demo", "--seconds", "26"], "'26': takes a number of seconds from 2 to 25"),
        (["demo", "--seconds", "nan"], "'nan': takes a number of seconds from 2 to 25"),
    ],
)
def test_wrong_arguments(capsys, arguments, complaint):
    """A wrong argument is named, with what is allowed, and the status is 2."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


def test_python_dash_m():
    """`python -m memo` is the command, under the same name and with the same status."""
    version = run("--version")
    assert (version.returncode, version.stdout) == (0, f"memo-cache {memo.__version__}\n")
    wrong = run("nothing")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: memo ")


def test_nothing_is_imported_before_it_is_needed():
    """Help needs neither rich nor any part of the demo."""
    code = """if True:
        import sys
        from memo.cli import main
        assert main([]) == 0
        strangers = {"rich", "memo.demo", "http", "asyncio.sslproto"} & set(sys.modules)
        sys.exit(f"imported: {strangers}" if strangers - {"asyncio.sslproto"} else 0)
    """
    done = run(code=code)
    assert (done.returncode, done.stderr) == (0, "")


def test_interruption_is_no_traceback(monkeypatch, capsys):
    """Ctrl-C ends the command with one line and the status that shells expect."""

    def interrupted(screen, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("memo.demo.story.tell", interrupted)
    assert main(["demo", "--plain"]) == 130
    assert capsys.readouterr().err == "\nmemo: interrupted\n"
