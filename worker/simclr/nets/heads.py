"""Projection heads g (section 4.2): z = g(h), used by the loss only; evaluation uses h.

The authors' code (google-research/simclr, ``model_util.projection_head``) differs from the paper's W2 relu(W1 h): it has
three layers by default, which is SimCLR v2, and batch normalisation after every layer, with no offset after the last one.
Its layers have no biases and start from a normal distribution of 0.01, where ours start as PyTorch's do.
"""

from typing import Literal

from torch import nn

HeadKind = Literal["nonlinear", "linear", "none"]
HeadNorm = Literal["hidden", "all", "none"]


def projection_head(
    kind: HeadKind,
    feature_dim: int,
    output_dim: int,
    *,
    hidden_layers: int = 1,
    hidden_dim: int | None = None,
    batch_norm: HeadNorm = "hidden",
) -> nn.Module:
    """The map from h (B, feature_dim) to z (B, output_dim).

    'nonlinear' has ``hidden_layers`` layers of ``hidden_dim`` (None: feature_dim), each with a ReLU, and a last one
    without: with 1 the paper's, with 2 the default of the authors' code. 'linear' is the last layer alone. 'none' is the
    identity, so z has feature_dim dimensions whatever ``output_dim`` says.

    ``batch_norm`` 'hidden': before each ReLU. 'all': after the last layer too, scaled but not shifted, as the authors'
    code does. 'none': nowhere, and the layers have biases. Raises ValueError for 'nonlinear' without a hidden layer.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Sequential(*_last(feature_dim, output_dim, batch_norm))
    if hidden_layers < 1:
        raise ValueError(f"A non-linear head needs at least one hidden layer, not {hidden_layers}")
    hidden, layers, width = hidden_dim or feature_dim, list[nn.Module](), feature_dim
    for _ in range(hidden_layers):
        layers.append(nn.Linear(width, hidden, bias=batch_norm == "none"))
        if batch_norm != "none":
            layers.append(nn.BatchNorm1d(hidden))
        layers.append(nn.ReLU(inplace=True))
        width = hidden
    return nn.Sequential(*layers, *_last(width, output_dim, batch_norm))


def _last(width: int, output_dim: int, batch_norm: HeadNorm) -> list[nn.Module]:
    layer = nn.Linear(width, output_dim, bias=batch_norm == "none")
    if batch_norm != "all":
        return [layer]
    norm = nn.BatchNorm1d(output_dim)
    norm.bias.requires_grad_(False)  # stays at 0; kept, because synchronised batch norm wants one
    return [layer, norm]
