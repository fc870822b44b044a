"""Extension of Griffe, the parser of mkdocstrings, that adapts the docstrings of this package for the API pages."""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

SECTION = re.compile(r"^(?: *)(?:Args|Attributes|Raises):\n(?:(?: {4,}.*)?\n?)+", re.M)
ITEM = re.compile(r"^( +)(\w+(?:, \w+)*): (.*(?:\n\1 +.*)*)", re.M)
ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")


class PackageDocstrings(griffe.Extension):
    """Replace Sphinx roles by code, split arguments that share a line, and document configuration options by their help text."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring."""
        if obj.docstring:
            obj.docstring.value = one_by_one(plain_names(obj.docstring.value))

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Set the help of a configuration option as its docstring, and its default as its value."""
        declared = option_text(str(attr.value))
        if declared:
            attr.value, text = declared
            attr.docstring = griffe.Docstring(text, parent=attr)


def plain_names(text: str) -> str:
    """Replace ``:class:`~a.b.C``` by ```C```, and any other role by its name as code."""
    return ROLE.sub(lambda role: f"`{role[1].split('.')[-1] if '~' in role[0] else role[1]}`", text)


def one_by_one(text: str) -> str:
    """Split arguments, attributes and errors that share a line: ``a, b: words`` and ``a: words. b: words``."""

    def parted(item: re.Match[str]) -> str:
        indent, names, words = item.groups()
        words = re.sub(r"(?<=[.;)]) (?=(?:[a-z_]\w*|\w+Error): )", f"\n{indent}", words)
        return "\n".join(f"{indent}{name}: {words}" for name in names.split(", "))

    return SECTION.sub(lambda section: ITEM.sub(parted, section[0]), text)


def option_text(source: str) -> tuple[str, str] | None:
    """Return default and description of a call of `tddfa_ros.schema.option`; None for any other expression."""
    call = ast.parse(source, mode="eval").body if source.startswith("option(") else None
    if not isinstance(call, ast.Call) or not isinstance(call.args[1], ast.Constant):
        return None
    words = str(call.args[1].value)
    named = {word.arg: ast.unparse(word.value).strip("()") for word in call.keywords}
    span = named.get("choices", "")
    low, high = named.get("minimum"), named.get("maximum")
    if low and high:
        span = f"{low} to {high}"
    elif low or high:
        span = f"at least {low}" if low else f"at most {high}"
    return ast.unparse(call.args[0]), f"{words[0].upper()}{words[1:]}{span and f' ({span})'}."
