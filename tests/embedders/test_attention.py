"""Attention with its log-sum-exp against torch's own attention, and its gradient by differences."""

import torch

from cellflow_cli.embedders._attention import attention


def problem(dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, n, w, generator=rng, dtype=dtype) for n, w in ((5, 4), (7, 4), (7, 2)))
    return q, k, v, torch.randn(3, 7, generator=rng, dtype=dtype)


def test_values_are_those_of_torch():
    q, k, v, bias = problem()
    mask = bias[:, None].expand(3, 5, 7)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    found, lse = attention(q, k, v, bias)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(lse[..., 0], torch.logsumexp(q @ k.mT + mask, -1))


def test_gradients_agree_with_finite_differences():
    inputs = [x.requires_grad_() for x in problem()]
    assert torch.autograd.gradcheck(attention, inputs)


def test_a_bias_of_minus_infinity_leaves_the_cell_out():
    q, k, v, bias = problem()
    bias[:, 4:] = -torch.inf
    kept = attention(q, k[:, :4], v[:, :4], bias[:, :4].contiguous())
    for found, expected in zip(attention(q, k, v, bias), kept, strict=True):
        torch.testing.assert_close(found, expected)
