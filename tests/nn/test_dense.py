import torch
from torch.testing import assert_close

from hugraph.nn.dense import hidden_layers


def test_layers_are_a_map_and_a_relu_worked_by_hand():
    layers = hidden_layers(2, [2, 1])
    first, second = layers[0], layers[3]
    first.weight.data, first.bias.data = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([0.0, -9])
    second.weight.data, second.bias.data = torch.tensor([[2.0, 5]]), torch.tensor([1.0])
    assert layers(torch.tensor([[1.0, 1], [-1, 1], [2, 1]])).tolist() == [[7], [3], [14]]


def test_no_sizes_leave_the_features_as_they_are():
    features = torch.randn(3, 2)
    assert hidden_layers(2, [])(features) is features


def test_dropout_leaves_out_its_share_of_units_while_training_and_none_after():
    torch.manual_seed(0)
    layers = hidden_layers(1, [2000], dropout=0.2)
    layers[0].weight.data.fill_(1)
    ones = torch.ones(1, 1)
    kept = layers(ones)[0]
    assert_close((kept == 0).float().mean().item(), 0.2, atol=0.03, rtol=0)
    assert_close(kept[kept != 0], torch.full_like(kept[kept != 0], 1.25))
    assert torch.equal(layers.eval()(ones), torch.ones(1, 2000))
