import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.nn import MultiModalFusion

LEFT = torch.tensor([[1.0, 2], [3, 4]]).double()
RIGHT = torch.tensor([[10.0, 20], [30, 40]]).double()
METHODS = ["concat", "sum", "mean", "attention"]


def fuse(method, blocks, present=None):
    return MultiModalFusion(len(blocks), blocks[0].shape[1], method=method).double()(
        blocks, present
    )


def test_two_modalities_worked_by_hand():
    assert fuse("concat", [LEFT, RIGHT]).tolist() == [[1, 2, 10, 20], [3, 4, 30, 40]]
    assert fuse("sum", [LEFT, RIGHT]).tolist() == [[11, 22], [33, 44]]
    assert fuse("mean", [LEFT, RIGHT]).tolist() == [[5.5, 11], [16.5, 22]]
    assert fuse("attention", [LEFT, RIGHT]).tolist() == [[5.5, 11], [16.5, 22]]


def test_a_missing_modality_takes_no_part_worked_by_hand():
    present = torch.tensor([[True, False], [False, False]])
    assert fuse("concat", [LEFT, RIGHT], present).tolist() == [[2, 4, 0, 0], [0, 0, 0, 0]]
    assert fuse("sum", [LEFT, RIGHT], present).tolist() == [[2, 4], [0, 0]]
    assert fuse("mean", [LEFT, RIGHT], present).tolist() == [[1, 2], [0, 0]]
    assert fuse("attention", [LEFT, RIGHT], present).tolist() == [[1, 2], [0, 0]]


def test_attention_leans_to_the_modality_its_gate_prefers():
    fusion = MultiModalFusion(2, 2, method="attention").double()
    fusion.gate_bias.data = torch.tensor([0.0, torch.tensor(3.0).log()]).double()
    assert_close(fusion([LEFT, RIGHT]), 0.25 * LEFT + 0.75 * RIGHT)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 10**6), num_modalities=st.integers(1, 4))
def test_what_a_missing_block_holds_never_matters(method, seed, num_modalities):
    torch.manual_seed(seed)
    fusion = MultiModalFusion(num_modalities, 3, method=method).double()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    blocks = [torch.randn(5, 3).double() for _ in range(num_modalities)]
    present = torch.rand(5, num_modalities) < 0.5
    others = [
        torch.where(present[:, m : m + 1], block, torch.randn(5, 3).double())
        for m, block in enumerate(blocks)
    ]
    assert_close(fusion(others, present), fusion(blocks, present))


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 10**6))
def test_everything_present_is_the_same_as_no_mask(method, seed):
    torch.manual_seed(seed)
    fusion = MultiModalFusion(3, 2, method=method).double()
    blocks = [torch.randn(4, 2).double() for _ in range(3)]
    assert_close(fusion(blocks, torch.ones(4, 3, dtype=torch.bool)), fusion(blocks))


@pytest.mark.parametrize("method", METHODS)
def test_a_fused_preference_meets_a_fused_item(method):
    fusion = MultiModalFusion(2, 2, method=method).double()
    assert fusion([LEFT, RIGHT]).shape == (2, fusion.output_dim)


def test_blocks_that_do_not_match_are_refused_with_their_shapes():
    with pytest.raises(ValueError, match=r"3 blocks of width 2, got \[\(2, 2\), \(2, 2\)\]"):
        MultiModalFusion(3, 2)([LEFT, RIGHT])
    with pytest.raises(ValueError, match="'average'"):
        MultiModalFusion(3, 2, method="average")
