"""Projection heads g (section 4.2): z = g(h), used by the loss only; evaluation uses h."""

from typing import Literal

from torch import nn

HeadKind = Literal["nonlinear", "linear", "none"]


def projection_head(kind: HeadKind, feature_dim: int, hidden_dim: int | None, output_dim: int) -> nn.Module:
    """The map from h (B, feature_dim) to z (B, output_dim).

    'nonlinear' is the paper's two layers, W2 relu(W1 h), with ``hidden_dim`` (None: feature_dim) in between and, as
    in the authors' code, batch normalisation before the ReLU. (That code defaults to three layers, which is SimCLR
    v2.) 'linear' is one layer. 'none' is the identity, so z has feature_dim dimensions whatever ``output_dim`` says.
    """
    match kind:
        case "none":
            return nn.Identity()
        case "linear":
            return nn.Linear(feature_dim, output_dim, bias=False)
        case "nonlinear":
            hidden = hidden_dim or feature_dim
            return nn.Sequential(
                nn.Linear(feature_dim, hidden, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(inplace=True),
                nn.Linear(hidden, output_dim, bias=False),
            )
