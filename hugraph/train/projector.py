"""Points with labels, in the files that TensorBoard's projector reads."""

import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_CONFIG, _VECTORS, _LABELS = "projector_config.pbtxt", "items.tsv", "items_labels.tsv"


def projector_files(
    vectors: NDArray[np.floating], columns: Mapping[str, Sequence[str]], name: str
) -> dict[str, bytes]:
    """The files of one set of points, by their names; the last one makes the others count.

    In the projector a point is labelled by the first column and may be coloured by any. White space
    in a label, such as the tabs and newlines that part labels, becomes a single space.

    Args:
        vectors: `(num_points, dim)`.
        columns: Labels of the points, by the name of the column; at least one column.
        name: What the points are called.

    Raises:
        ValueError: If a column has not one label for each point, or there is none.
    """
    lengths = {column: len(labels) for column, labels in columns.items()}
    if not lengths or set(lengths.values()) != {len(vectors)}:
        raise ValueError(f"{len(vectors)} points need as many labels in each column, got {lengths}")
    numbers = io.BytesIO()
    np.savetxt(numbers, vectors, fmt="%.6g", delimiter="\t")
    rows = list(zip(*columns.values(), strict=True))
    if len(columns) > 1:  # a single column must have no header
        rows = [tuple(columns), *rows]
    labels = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
    num_points, dim = vectors.shape
    config = f"""\
embeddings {{
  tensor_name: {json.dumps(name)}
  tensor_path: "{_VECTORS}"
  tensor_shape: {num_points}
  tensor_shape: {dim}
  metadata_path: "{_LABELS}"
}}
"""
    return {
        _VECTORS: numbers.getvalue(),
        _LABELS: labels.encode("utf-8", "replace"),
        _CONFIG: config.encode(),
    }
