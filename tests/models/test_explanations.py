"""Explanations leave a model as it was, whatever its kind."""

import pytest
import torch
from tiny_models import TINY, tiny_batch


@pytest.mark.parametrize("kind", TINY)
def test_an_explanation_needs_no_return_dict(kind):
    explained = TINY[kind](return_dict=False).explain(**tiny_batch())
    assert explained.stream_shares.shape == (4, 3)


@pytest.mark.parametrize("kind", TINY)
def test_after_an_explanation_and_after_an_error_every_module_is_in_its_mode(kind):
    model, batch = TINY[kind]().train(), tiny_batch()
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    model.explain(**batch)
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ValueError, match="audio_values"):
        model.explain(**(batch | {"audio_values": batch["audio_values"][..., :-1]}))
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("kind", TINY)
def test_a_row_of_nothing_but_padding_has_finite_shares(kind):
    batch = tiny_batch()
    for mask in ("attention_mask", "audio_attention_mask", "visual_attention_mask"):
        batch[mask] = batch[mask].clone()
        batch[mask][0] = 0
    shares = TINY[kind]().explain(**batch).stream_shares
    assert torch.isfinite(shares).all()
    assert shares[1:].sum(dim=1).tolist() == pytest.approx([1.0] * 3)
