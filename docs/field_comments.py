"""Extension of mkdocstrings: fields of records are described by their comments, settings by the text in `option(..)`."""

import ast

import griffe


class FieldComments(griffe.Extension):
    """Gives a docstring to attributes of classes that have none."""

    def on_attribute_instance(self, *, node: ast.AST, attr: griffe.Attribute, **_: object) -> None:
        """Reads the text beside or above an attribute."""
        if attr.docstring or not isinstance(node, ast.AnnAssign) or not attr.parent.is_class:
            return
        text = _option_text(node.value) or _comment(attr.filepath.read_text(encoding="utf-8").splitlines(), node)
        if text:
            attr.docstring = griffe.Docstring(text, parent=attr)


def _option_text(value: ast.expr | None) -> str:
    """Second argument of `option(default, text, ..)`."""
    is_option = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "option"
    return value.args[1].value if is_option else ""


def _comment(lines: list[str], node: ast.AnnAssign) -> str:
    """The comment after an attribute, else the comment lines directly above the attribute."""
    _, mark, beside = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")
    if mark:
        return beside.strip()
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith("#"):
            break
        above.insert(0, line.strip("# "))
    return " ".join(above)
