"""Runs the Python snippets of README.md and docs/*.md with Sybil.

A document is one module: its snippets run in order and see each other's names, and what they write
lands in a temporary directory. A snippet may be a doctest (`>>> `). What only the machine needs to
see goes into `<!-- invisible-code-block: python ... -->`; what cannot run says why, in
`<!-- skip: next "a reason" -->`. Everything else that says `python` runs.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from doctest import ELLIPSIS
from pathlib import Path
from types import ModuleType
from typing import Any

from sybil import Document, Region, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.markdown import SkipParser as SybilSkipParser

from memo import Policy, configuration

__all__ = ["pytest_collect_file"]

_SCRATCH = "__scratch_directory__"


class ModuleDocument(Document):
    """A document whose snippets live in a real module, so that their classes pickle."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        name = "snippets_of_" + Path(path).stem.replace("-", "_")
        sys.modules[name] = module = ModuleType(name)
        self.namespace = vars(module)


class SkipParser(SybilSkipParser):
    """Sybil's `skip` directive, but a reason is not optional."""

    def __call__(self, document: Document) -> Iterator[Region]:
        for region in super().__call__(document):
            action, reason = region.parsed
            if action != "end" and not reason:
                message = f"{document.path}: `skip: {action}` needs a reason"
                raise ValueError(message)
            yield region


def enter_scratch_directory(namespace: dict[str, Any]) -> None:
    scratch = tempfile.TemporaryDirectory(prefix="memo-docs-")
    namespace[_SCRATCH] = (scratch, Path.cwd(), configuration.configured())
    os.chdir(scratch.name)
    # What a page shows is not to depend on how quick the machine is.
    configuration.configure(policy=Policy(timeout=60))


def leave_scratch_directory(namespace: dict[str, Any]) -> None:
    scratch, before, settings = namespace.pop(_SCRATCH)
    configuration.restore(settings)
    os.chdir(before)
    scratch.cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    document_types={".md": ModuleDocument},
    setup=enter_scratch_directory,
    teardown=leave_scratch_directory,
).pytest()
