"""Which family covers a module; None where only materialised per-sample gradients will do."""

from __future__ import annotations

from torch import nn

from genmem.influence.layers.convolution import ConvolutionFamily, TransposedFamily
from genmem.influence.layers.family import Family
from genmem.influence.layers.linear import EmbeddingFamily, LinearFamily
from genmem.influence.layers.normalization import (
    BatchNormFamily,
    GroupNormFamily,
    InstanceNormFamily,
    LayerNormFamily,
    RMSNormFamily,
)

_CONVOLUTION, _TRANSPOSED, _BATCH_NORM = ConvolutionFamily(), TransposedFamily(), BatchNormFamily()

FAMILIES: dict[type[nn.Module], Family] = {
    nn.Linear: LinearFamily(),
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.Conv3d: _CONVOLUTION,
    nn.ConvTranspose1d: _TRANSPOSED,
    nn.ConvTranspose2d: _TRANSPOSED,
    nn.ConvTranspose3d: _TRANSPOSED,
    nn.Embedding: EmbeddingFamily(),
    nn.LayerNorm: LayerNormFamily(),
    nn.GroupNorm: GroupNormFamily(),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.BatchNorm3d: _BATCH_NORM,
    nn.InstanceNorm1d: InstanceNormFamily(1),
    nn.InstanceNorm2d: InstanceNormFamily(2),
    nn.InstanceNorm3d: InstanceNormFamily(3),
    nn.RMSNorm: RMSNormFamily(),
}


def family_of(module: nn.Module) -> Family | None:
    """The family of a module, by its exact type.

    A subclass may compute something else, and a parametrised layer (weight normalisation, low-rank
    adapters) holds other parameters than its formula names: neither is covered.
    """
    family = FAMILIES.get(type(module))
    if family is None:
        return None
    plain = set(module._parameters) <= {"weight", "bias"} and "forward" not in vars(module)
    return family if plain and family.supports(module) else None
