import logging

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hugraph.train.events import EventLog


def test_scalars_and_histograms_are_read_back_and_replayed_epochs_replace_the_lost_ones(tmp_path):
    log = EventLog(tmp_path)
    for epoch in (1, 2, 3):
        log.write(epoch, {"train/lr": epoch / 10}, {"model/a": torch.arange(4.0)})
    log.close()
    resumed = EventLog(tmp_path)  # epoch 3 was never committed
    resumed.write(3, {"train/lr": 30.0}, {})
    resumed.close()
    read = EventAccumulator(str(tmp_path), {"histograms": 0})
    read.Reload()
    scalars = [(e.step, round(e.value, 3)) for e in read.Scalars("train/lr")]
    assert scalars == [(1, 0.1), (2, 0.2), (3, 30.0)]
    (first, *_) = read.Histograms("model/a")
    assert first.histogram_value.num == 4 and first.histogram_value.sum == 6


def test_empty_and_infinite_values_do_not_end_the_histograms(tmp_path):
    log = EventLog(tmp_path)
    values = {"model/a": torch.tensor([1.0, float("inf")]), "model/b": torch.empty(0)}
    log.write(1, {}, values)
    log.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Tags()["histograms"] == ["model/a"]


def test_a_disk_that_refuses_events_is_reported_once(tmp_path, monkeypatch, caplog):
    class Refusing:
        def __init__(self, *args, **kwargs):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Refusing)
    log = EventLog(tmp_path)
    with caplog.at_level(logging.WARNING):
        log.write(1, {"a": 1.0}, {})
        log.write(2, {"a": 1.0}, {})
        log.close()
    assert caplog.text.count("No space left on device") == 1


def test_a_picture_joins_the_last_epoch_and_leaves_what_was_written_of_it(tmp_path):
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x07\x00\x00\x00\x05"
    log = EventLog(tmp_path)
    for epoch in (1, 2):
        log.write(epoch, {"a": float(epoch)}, {})
    log.close()
    log = EventLog(tmp_path)  # the run is finished, and drawn once more
    log.draw(2, {"figures/tree": png})
    log.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [event.step for event in read.Scalars("a")] == [1, 2]
    (drawn,) = read.Images("figures/tree")
    assert (drawn.step, drawn.width, drawn.height) == (2, 7, 5)
    assert drawn.encoded_image_string == png


def test_points_replace_those_before(tmp_path):
    log = EventLog(tmp_path / "events")
    for names in (["a", "b"], ["c"]):
        log.project(np.zeros((len(names), 2)), {"item": names}, "items")
    assert (tmp_path / "events" / "items_labels.tsv").read_text() == "c\n"
    assert "tensor_shape: 1\n" in (tmp_path / "events" / "projector_config.pbtxt").read_text()


def test_points_that_cannot_be_written_are_reported_and_end_the_events(tmp_path, caplog):
    (tmp_path / "events").write_text("in the way")
    log = EventLog(tmp_path / "events")
    with caplog.at_level(logging.WARNING):
        log.project(np.zeros((1, 2)), {"item": ["a"]}, "items")
        log.draw(1, {})
    assert caplog.text.count("TensorBoard events end here") == 1
