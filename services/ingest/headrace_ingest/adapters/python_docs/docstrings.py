"""Questions on the standard library: the first sentences of its docstrings."""

import inspect
import types
from collections.abc import Iterator
from typing import Any

from headrace_ingest.adapters.python_docs.how_to import how_to
from headrace_ingest.adapters.python_docs.modules import load_modules
from headrace_ingest.adapters.python_docs.sentences import first_paragraph, summary
from headrace_ingest.core.records import Row

_GENERIC = frozenset({object, type, BaseException, Exception})
_ROUTINES = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip


def docstring_rows() -> Iterator[Row]:
    """Yield rows module by module; a thing that several modules show is asked for once."""
    seen: set[int] = set()
    kept = []  # what was seen must stay alive, or its id() could be given to another
    for name, module in load_modules():
        yield from _row(f"What is the Python module `{name}` for?", module.__doc__)
        for member, thing in _public(name, module):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            kept.append(thing)
            full = member if name == "builtins" else f"{name}.{member}"
            yield from _member_rows(full, thing)


def _public(name: str, module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    listed = getattr(module, "__all__", None)
    names = sorted(listed) if listed else sorted(vars(module))
    for member in names:
        if member.startswith("_"):
            continue
        thing = getattr(module, member, None)
        home = getattr(thing, "__module__", None)
        # Without `__all__` only what was defined there counts: the rest are its imports.
        if listed or home in (name, f"_{name}", None, "builtins", "posix", "nt"):
            yield member, thing


def _member_rows(name: str, thing: Any) -> Iterator[Row]:
    if inspect.isclass(thing):
        yield from _class_rows(name, thing)
    elif isinstance(thing, _ROUTINES) or hasattr(thing, "__wrapped__"):
        for row in _row(_routine_question(name, thing), _doc(thing)):
            yield how_to(name, row) or row


def _routine_question(name: str, thing: Any) -> str:
    if inspect.iscoroutinefunction(thing):
        return f"What does the coroutine `{name}` do?"
    return f"What does `{name}` do?"


def _class_rows(name: str, cls: type) -> Iterator[Row]:
    if issubclass(cls, BaseException):
        yield from _row(f"What does the exception `{name}` mean?", _own_doc(cls))
    else:
        yield from _row(f"What is `{name}` in Python?", _own_doc(cls))
    if cls in _GENERIC:
        return
    for member, found in sorted(vars(cls).items()):
        # `do_...` are the commands of the debugger: the reference's topic describes them better.
        if member.startswith(("_", "do_")):
            continue
        thing = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        if isinstance(thing, _ROUTINES):
            yield from _row(f"What does the method `{name}.{member}` do?", _doc(thing))
        elif isinstance(thing, property | types.GetSetDescriptorType | types.MemberDescriptorType):
            yield from _row(f"What is the attribute `{name}.{member}`?", _doc(thing))


def _own_doc(cls: type) -> str | None:
    doc = vars(cls).get("__doc__")
    return doc if isinstance(doc, str) else None


def _doc(thing: Any) -> str | None:
    doc = getattr(thing, "__doc__", None)
    return doc if isinstance(doc, str) else None


def _row(question: str, doc: str | None) -> Iterator[Row]:
    answer = summary(first_paragraph(inspect.cleandoc(doc))) if doc else None
    if answer:
        yield Row(question, answer)
