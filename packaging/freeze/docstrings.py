"""Python compiled without its docstrings: 4 MB of the packed program that no run reads."""

from __future__ import annotations

import ast
from types import CodeType

WITHOUT = ("sympy", "torch", "numpy", "huggingface_hub")
"""Packages whose docstrings are left out. Not transformers: it looks for places in its own, and refuses to start without."""


def is_without(module: str) -> bool:
    """Return whether the docstrings of ``module`` are left out."""
    return module.partition(".")[0] in WITHOUT


def without_docstrings(source: bytes, path: str) -> CodeType:
    """Compile ``source`` with empty docstrings. They stay texts: some libraries put words behind their own docstrings."""
    tree = ast.parse(source, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str()) as said):
                    said.value = ""
                case _:
                    pass
    return compile(tree, path, "exec", dont_inherit=True)
