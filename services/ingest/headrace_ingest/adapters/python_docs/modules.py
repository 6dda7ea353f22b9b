"""The standard-library modules whose docstrings are read: importing them has no effect."""

import importlib
import pkgutil
import types
import warnings
from collections.abc import Iterator

# Left out on purpose: `this` and `antigravity` (import has an effect), `idlelib`, `tkinter` and
# `turtle` (need a display), `test` and `lib2to3` (not for users), `_`-prefixed modules (private).
NAMES: tuple[str, ...] = (
    "builtins", "string", "re", "difflib", "textwrap", "unicodedata", "stringprep", "struct",
    "codecs", "datetime", "zoneinfo", "calendar", "collections", "heapq", "bisect", "array",
    "weakref", "types", "copy", "pprint", "reprlib", "enum", "graphlib", "numbers", "math",
    "cmath", "decimal", "fractions", "random", "statistics", "itertools", "functools", "operator",
    "pathlib", "os.path", "fileinput", "stat", "filecmp", "tempfile", "glob", "fnmatch",
    "linecache", "shutil", "pickle", "copyreg", "shelve", "marshal", "dbm", "sqlite3", "zlib",
    "gzip", "bz2", "lzma", "zipfile", "tarfile", "csv", "configparser", "tomllib", "netrc",
    "plistlib", "hashlib", "hmac", "secrets", "os", "io", "time", "argparse", "getopt", "logging",
    "getpass", "platform", "errno", "ctypes", "threading", "multiprocessing", "concurrent",
    "subprocess", "sched", "queue", "contextvars", "asyncio", "socket", "ssl", "select",
    "selectors", "signal", "mmap", "email", "json", "mailbox", "mimetypes", "base64", "binascii",
    "quopri", "html", "xml", "webbrowser", "wsgiref", "urllib", "http", "ftplib", "poplib",
    "imaplib", "smtplib", "socketserver", "xmlrpc", "ipaddress", "wave", "colorsys", "gettext",
    "locale", "cmd", "shlex", "typing", "pydoc", "doctest", "unittest", "bdb", "faulthandler",
    "pdb", "profile", "pstats", "timeit", "trace", "tracemalloc", "ensurepip", "venv", "zipapp",
    "sys", "sysconfig", "warnings", "dataclasses", "contextlib", "abc", "atexit", "traceback",
    "gc", "inspect", "site", "code", "codeop", "zipimport", "pkgutil", "modulefinder", "runpy",
    "importlib", "ast", "symtable", "token", "keyword", "tokenize", "tabnanny", "pyclbr",
    "py_compile", "compileall", "dis", "pickletools", "pwd", "grp", "termios", "tty", "pty",
    "fcntl", "resource", "syslog", "optparse", "curses", "readline",
)  # fmt: skip
_NOT_FOR_USERS = frozenset({"test", "tests", "__main__", "_bundled", "macpath", "bdist"})


def load_modules() -> Iterator[tuple[str, types.ModuleType]]:
    """Import the modules and their public submodules, in a stable order; skip what is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            module = _load(name)
            if module is None:
                continue
            yield name, module
            for child in sorted(_children(module)):
                found = _load(child)
                if found is not None:
                    yield child, found


def _load(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a module that this interpreter was built without
        return None


def _children(module: types.ModuleType) -> Iterator[str]:
    if not hasattr(module, "__path__"):
        return
    for found in pkgutil.iter_modules(module.__path__):
        if not found.name.startswith("_") and found.name not in _NOT_FOR_USERS:
            yield f"{module.__name__}.{found.name}"
