"""Attention that also returns the log-sum-exp of its logits, with a backward pass that reuses the weights."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_NEGLIGIBLE = -60.0  # exp of less adds nothing, and denormal numbers are several times slower


def attention(
    q: Float[Tensor, "b n w"],
    k: Float[Tensor, "b m w"],
    v: Float[Tensor, "b m f"],
    bias: Float[Tensor, "b m"],
) -> tuple[Float[Tensor, "b n f"], Float[Tensor, "b n 1"]]:
    """Attended values and log-sum-exp of the logits.

    logit_ij = q_i . k_j + bias_j;   out_i = sum_j softmax(logit_i)_j v_j;   lse_i = log sum_j exp(logit_ij)

    Args:
        q: Queries, already scaled, shape [b, n, w].
        k: Keys, shape [b, m, w].
        v: Values, shape [b, m, f].
        bias: Of each key; -inf leaves it out, shape [b, m].

    Source: the gradient is that of Dao et al. (2022), FlashAttention, algorithm 4 without tiling, and
    with the term of the log-sum-exp. Differs from `scaled_dot_product_attention`, which does not
    return the log-sum-exp.
    """
    return _Attention.apply(q, k, v, bias)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.baddbmm(bias.unsqueeze(-2), q, k.transpose(-1, -2))
        top = logits.amax(-1, keepdim=True)
        weights = logits.sub_(top).clamp_(min=_NEGLIGIBLE).exp_()
        left_out = bias.isneginf()
        if left_out.any():
            weights.masked_fill_(left_out.unsqueeze(-2), 0.0)
        total = weights.sum(-1, keepdim=True)
        out = torch.bmm(weights, v) / total
        ctx.save_for_backward(q, k, v, weights, total, out)
        return out, top + total.log()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        q, k, v, weights, total, out = ctx.saved_tensors
        d_out, d_lse = grads[0] / total, grads[1] / total
        own = (d_out * out).sum(-1, keepdim=True) - d_lse
        d_logits = torch.baddbmm(-own, d_out, v.transpose(-1, -2)).mul_(weights)
        d_v = torch.bmm(weights.transpose(-1, -2), d_out)
        d_k = torch.bmm(d_logits.transpose(-1, -2), q)
        return torch.bmm(d_logits, k), d_k, d_v, d_logits.sum(-2)
