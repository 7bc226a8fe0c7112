"""Linear layers and embeddings: one token per row of the flattened leading axes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from genmem.influence.layers.family import TokenFamily, row_axis


class LinearFamily(TokenFamily):
    """y = W a + b on the last axis: a token is the input vector, its gradient the output's."""

    bias_is_an_input = True

    def geometry(self, module: nn.Module) -> tuple[int, int, int]:
        layer = cast(nn.Linear, module)
        return 1, layer.in_features, layer.out_features

    def tokens(self, module: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        rows = row_axis(x, 1)
        _, d, p = self.geometry(module)
        return x.reshape(rows, -1, 1, d), g.reshape(rows, -1, 1, p)

    def weight(self, dense: Tensor, shape: tuple[int, ...]) -> Tensor:
        return dense.reshape(-1, *shape)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return g.reshape(row_axis(g, 1), -1, g.shape[-1]).sum(1)


class EmbeddingFamily(TokenFamily):
    """A row of the table per id: the input token is the id's one-hot vector.

    The one-hot is small beside the (ids, width) gradient per sample that it stands for.
    """

    def supports(self, module: nn.Module) -> bool:
        layer = cast(nn.Embedding, module)
        # max_norm rewrites the weights during the call; frequencies depend on the batch.
        return layer.max_norm is None and not layer.scale_grad_by_freq

    def geometry(self, module: nn.Module) -> tuple[int, int, int]:
        layer = cast(nn.Embedding, module)
        return 1, layer.num_embeddings, layer.embedding_dim

    def tokens(self, module: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        layer = cast(nn.Embedding, module)
        rows = row_axis(x, 0)
        ids = x.reshape(rows, -1)
        hot = torch.nn.functional.one_hot(ids.long(), layer.num_embeddings).to(g.dtype)
        if layer.padding_idx is not None:
            hot[..., layer.padding_idx] = 0  # torch sends no gradient to the padding row
        return hot[:, :, None], g.reshape(rows, -1, 1, layer.embedding_dim)

    def weight(self, dense: Tensor, shape: tuple[int, ...]) -> Tensor:
        return dense.transpose(2, 3).reshape(-1, *shape)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        raise NotImplementedError("an embedding has no bias")
