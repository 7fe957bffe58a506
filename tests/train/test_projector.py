import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from hugraph.train.projector import projector_files

VECTORS = np.array([[1.5, -2e-9], [0.0, 1 / 3]], dtype=np.float32)


def test_the_files_hold_points_and_labels_as_the_projector_reads_them():
    labels = {"title": ["Heat", "Alien"], "item": ["a", "b"]}
    files = projector_files(VECTORS, labels, 'two "items"')
    config = text_format.Parse(files["projector_config.pbtxt"].decode(), ProjectorConfig())
    (points,) = config.embeddings
    assert (points.tensor_name, list(points.tensor_shape)) == ('two "items"', [2, 2])
    assert files[points.tensor_path] == b"1.5\t-2e-09\n0\t0.333333\n"
    assert files[points.metadata_path] == b"title\titem\nHeat\ta\nAlien\tb\n"
    assert list(files)[-1] == "projector_config.pbtxt"


def test_a_single_column_has_no_header():
    assert projector_files(VECTORS, {"item": ["a", "b"]}, "items")["items_labels.tsv"] == b"a\nb\n"


@pytest.mark.parametrize("space", ["\t", "\n", "\r\n", "\v", "\x1c", "\x85", "\u2028", "\u2029"])
def test_whatever_parts_rows_and_cells_elsewhere_is_one_space_in_a_label(space):
    title = f"{space}The{space}{space}Thing{space}"
    files = projector_files(VECTORS, {"title": [title, "\ud800"], "item": ["a", "b"]}, "items")
    assert files["items_labels.tsv"] == b"title\titem\nThe Thing\ta\n?\tb\n"


@pytest.mark.parametrize("columns", [{}, {"item": ["a"]}, {"item": ["a", "b"], "title": []}])
def test_points_without_a_label_each_are_refused(columns):
    with pytest.raises(ValueError, match="2 points need as many labels in each column, got"):
        projector_files(VECTORS, columns, "items")
