"""Imports DGL once, with PyTorch as its backend; a broken DGL ends in one sentence."""

import os

from hugraph.errors import ResourceError

os.environ.setdefault("DGLBACKEND", "pytorch")

try:
    import dgl
except Exception as error:  # DGL fails in many ways: ImportError, OSError, FileNotFoundError
    raise ResourceError(
        f"DGL cannot be imported ({type(error).__name__}: {str(error).splitlines()[0][:120]})",
        fix="pip install 'dgl==1.1.3' packaging (2.1.0 does not work with a current torch)",
    ) from None

__all__ = ["dgl"]
