"""What is read in place, what is widened, what is refused, and what comes back."""

import numpy as np
import pytest

from genmem import arrays, kernels
from genmem.errors import BackendError

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_numpy_is_not_copied(dtype: type) -> None:
    given = np.zeros((6, 4), dtype)[::2, ::-1]
    assert np.shares_memory(arrays.read("op", "x", given), given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_tensors_are_not_copied(dtype: torch.dtype) -> None:
    given = torch.zeros((4, 6), dtype=dtype)
    read = arrays.read("op", "x", given.T)
    read.flags.writeable = False
    given[1, 2] = 7
    assert read[2, 1] == 7


def test_a_tensor_that_requires_grad_is_read() -> None:
    given = torch.ones(3, 2, requires_grad=True)
    assert (arrays.read("op", "x", given) == 1).all()


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.ones((2, 2), np.float16), np.float32),
        (torch.ones(2, 2, dtype=torch.float16), np.float32),
        (torch.ones(2, 2, dtype=torch.bfloat16), np.float32),
        (np.ones((2, 2), np.int64), np.float64),
        (np.ones((2, 2), bool), np.float64),
        (torch.ones(2, 2, dtype=torch.int32), np.float64),
        (np.ones((2, 2), np.longdouble), np.float64),
        ([[1, 1], [1, 1]], np.float64),
    ],
)
def test_widened(given: object, dtype: type) -> None:
    read = arrays.read("op", "x", given)
    assert read.dtype == dtype
    assert (read == 1).all()


@pytest.mark.parametrize("given", [np.array([["a"]]), np.array([[1j]]), np.array([[None]])])
def test_refused(given: np.ndarray) -> None:
    with pytest.raises(TypeError, match="op: x has elements of type"):
        arrays.read("op", "x", given)


def test_a_tensor_elsewhere_is_refused() -> None:
    with pytest.raises(BackendError, match="knn: queries is on meta"):
        kernels.knn(torch.zeros(2, 2, device="meta"), np.zeros((3, 2)), 1)


class Foreign:
    """An array of a library that only speaks DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **kwargs: object) -> object:
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def test_dlpack() -> None:
    given = np.arange(6.0).reshape(3, 2)
    assert np.shares_memory(arrays.read("op", "x", Foreign(given)), given)


class TestTensorsInTensorsOut:
    def test_knn(self) -> None:
        points = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
        got = kernels.knn(points[:3], points, 2)
        assert isinstance(got.distances, torch.Tensor)
        assert got.distances.dtype == torch.float32
        assert got.indices.dtype == torch.int64
        assert got.indices[:, 0].tolist() == [0, 1, 2]

    def test_log_kde(self) -> None:
        points = torch.zeros(4, 1, dtype=torch.float64)
        got = kernels.log_kde(points[:2], points, 1.0)
        assert isinstance(got, torch.Tensor)
        assert got.dtype == torch.float64
        assert torch.allclose(got, torch.full((2,), -0.9189385332046727, dtype=torch.float64))

    def test_mixed(self) -> None:
        """The answer is of the queries' kind."""
        points = torch.zeros(4, 1)
        assert isinstance(kernels.knn(points.numpy(), points, 1).distances, np.ndarray)
