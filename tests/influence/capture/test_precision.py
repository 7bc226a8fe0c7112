"""TF32 is off while gradients are captured on a GPU; the switches need no GPU to be tested."""

from __future__ import annotations

import pytest
import torch

from genmem.influence.capture.precision import full_precision


def test_switches_are_put_back() -> None:
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this torch has only the old switches")
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, conv.fp32_precision
    with full_precision(torch.device("cpu")):
        assert (matmul.fp32_precision, conv.fp32_precision) == before
    with full_precision(torch.device("cuda")):
        assert (matmul.fp32_precision, conv.fp32_precision) == ("ieee", "ieee")
    assert (matmul.fp32_precision, conv.fp32_precision) == before
    with pytest.raises(KeyError, match="inside"), full_precision(torch.device("cuda")):
        raise KeyError("inside")
    assert (matmul.fp32_precision, conv.fp32_precision) == before
