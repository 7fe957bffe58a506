"""Shows the fields of records and protocols, whose comments give shapes, in the API reference."""

import ast
import re
from typing import Any

from griffe import Class, Extension

RECORDS = {"NamedTuple", "Protocol"}


class RecordFields(Extension):
    """Adds an `Attributes:` section: the annotated fields, with the comments beside them."""

    def on_class_members(self, *, node: Any, cls: Class, **_: Any) -> None:
        """Extends the docstring of a record that does not list its fields itself."""
        names = {base.id for base in getattr(node, "bases", ()) if isinstance(base, ast.Name)}
        if names & RECORDS and cls.docstring and "Attributes:" not in cls.docstring.value:
            fields = [_entry(field, cls) for field in node.body if isinstance(field, ast.AnnAssign)]
            if fields:
                cls.docstring.value += "\n\nAttributes:\n" + "\n".join(fields)


def _entry(field: ast.AnnAssign, cls: Class) -> str:
    line = cls.lines_collection[cls.filepath][field.lineno - 1]
    comment = line.partition("  # ")[2] or "\u200b"  # an entry without a text would be a fault
    shaped = re.sub(r"\([^()]*,[^()]*\)", r"`\g<0>`", comment, count=1)
    return f"    {ast.unparse(field.target)}: {shaped}"
