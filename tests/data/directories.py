"""Small dataset directories for tests."""

import io

import numpy as np

INTERACTIONS = "user,item\nann,x\nann,y\nbob,y\nbob,z\n"
ITEMS = "item,title\nx,Xylophone\ny,Yoga\nz,Zebra\n"


def directory(path, **files):
    """Writes files given as text, bytes or arrays; `__` in a name stands for a dot."""
    defaults = {"interactions__csv": INTERACTIONS, "items__csv": ITEMS}
    for name, content in {**defaults, **files}.items():
        if isinstance(content, np.ndarray):
            content = npy(content)
        if isinstance(content, str):
            content = content.encode()
        if content is not None:
            (path / name.replace("__", ".")).write_bytes(content)
    return str(path)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()
