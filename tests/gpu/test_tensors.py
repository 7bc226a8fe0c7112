"""torch's CUDA tensors: read in place, in the current stream; the answer lies on their device."""

import numpy as np
import pytest

from genmem import kernels, reference

torch = pytest.importorskip("torch")


@pytest.fixture
def device() -> "torch.device":
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no CUDA device")
    return torch.device("cuda", torch.cuda.current_device())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
@pytest.mark.parametrize("shape", [(5, 300, 7), (130, 5000, 100)], ids=str)
def test_neighbours(
    device: "torch.device", shape: tuple[int, int, int], dtype: "torch.dtype",
    rng: np.random.Generator,
) -> None:  # fmt: skip
    m, n, d = shape
    points = torch.from_numpy(rng.integers(0, 200, (n, d))).to(dtype)
    queries = torch.from_numpy(rng.integers(0, 200, (m, d))).to(dtype)
    queries[:3] = points[-3:]
    got = kernels.knn(queries.to(device), points.to(device), 4)
    want = kernels.knn(queries, points, 4, backend="cuda-emulated")
    assert got.distances.device == got.indices.device == device
    assert torch.equal(got.distances.cpu(), want.distances)
    assert torch.equal(got.indices.cpu(), want.indices)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32, torch.bool], ids=str)
def test_other_elements_are_widened(device: "torch.device", dtype: "torch.dtype") -> None:
    points = (torch.arange(60).reshape(20, 3) % 7).to(dtype)
    got = kernels.knn(points[:4].to(device), points.to(device), 5)
    assert torch.equal(got.indices.cpu(), kernels.knn(points[:4], points, 5).indices)


def test_columns_that_lie_apart(device: "torch.device", rng: np.random.Generator) -> None:
    wide = torch.from_numpy(rng.standard_normal((40, 900))).to(device)
    for points in (wide.T, wide.T[::2], wide[:, ::3]):
        want = kernels.knn(points[:5].cpu(), points.cpu(), 3)
        assert torch.equal(kernels.knn(points[:5], points, 3).indices.cpu(), want.indices)


def test_densities(device: "torch.device", rng: np.random.Generator) -> None:
    points = rng.standard_normal((9000, 20)).astype(np.float32)
    there = torch.from_numpy(points).to(device)
    got = kernels.log_kde(there[:50], there, 0.7, exclude=np.arange(50))
    assert got.device == device
    want = reference.log_kde(points[:50], points, 0.7, exclude=np.arange(50))
    assert np.abs(got.cpu().numpy() - want).max() <= 1e-10


def test_points_within_a_radius(device: "torch.device", rng: np.random.Generator) -> None:
    points = rng.integers(0, 9, (5000, 40)).astype(np.float32)
    radius = np.sqrt(rng.integers(0, 800, 300).astype(np.float64))
    there = torch.from_numpy(points).to(device)
    got = kernels.radius_counts(there[:300], there, radius)
    assert (got == kernels.radius_counts(points[:300], points, radius)).all()


@pytest.mark.parametrize("d", [3, 100])
def test_gradients(device: "torch.device", d: int, rng: np.random.Generator) -> None:
    points = rng.standard_normal((9000, d)).astype(np.float32)
    there = torch.from_numpy(points).to(device)
    got = kernels.kde_gradient(there[:50], there, 0.7, exclude=np.arange(50))
    want = kernels.kde_gradient(points[:50], points, 0.7, exclude=np.arange(50))
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


def test_queries_whose_hits_are_lost(device: "torch.device") -> None:
    """Ever nearer points, with equal pairs: no limit tells them apart in time."""
    points = torch.full((60_000, 20), 7.0, device=device)
    points[:, 0] += torch.arange(30_000, 0, -1, device=device).repeat_interleave(2).sqrt() / 100
    got = kernels.knn(points[:1] * 0 + 7, points, 3)
    assert got.indices.cpu().tolist() == [[59_998, 59_999, 59_996]]


def test_an_answer_is_not_waited_for(device: "torch.device") -> None:
    points = torch.randn(30_000, 100, device=device)
    work = torch.randn(8192, 8192, device=device)

    own, weights = np.arange(30_000), np.ones(30_000)
    layer = kernels.LayerFactors("one", points, points[:, :20], np.arange(30_001), True)
    some = kernels.Factors((layer,)).samples(0, 500)

    def calls() -> None:
        kernels.knn(points[:500], points, 5, assume_finite=True)
        kernels.knn(points, points, 5, exclude=own, assume_finite=True)
        kernels.log_kde(points[:500], points, 1.0, weights=weights, assume_finite=True)
        kernels.grad_dot(some, kernels.Factors((layer,)), assume_finite=True)

    calls()
    torch.cuda.synchronize(device)
    for _ in range(100):
        work = work @ work / 8192
    calls()
    last = torch.cuda.current_stream(device).record_event()
    assert not last.query()
    torch.cuda.synchronize(device)


class OfAnother:
    """An array of a library that is not torch."""

    def __init__(self, tensor: "torch.Tensor") -> None:
        self.__cuda_array_interface__ = tensor.__cuda_array_interface__ | {"version": 3}
        self.tensor = tensor


class ByDlpack:
    """One that has DLPack alone."""

    def __init__(self, tensor: "torch.Tensor") -> None:
        self.tensor = tensor

    def __dlpack__(self, **how: object) -> object:
        return self.tensor.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize("kind", [OfAnother, ByDlpack])
def test_arrays_of_other_libraries(
    device: "torch.device", kind: type, rng: np.random.Generator
) -> None:
    points = torch.from_numpy(rng.standard_normal((3000, 30)))
    there = points.to(device)
    torch.cuda.synchronize(device)
    got = kernels.knn(kind(there[:9]), kind(there), 3)
    want = kernels.knn(points[:9], points, 3)
    assert torch.equal(torch.as_tensor(got.indices, device=device).cpu(), want.indices)
    assert torch.equal(torch.from_dlpack(got.distances).cpu(), want.distances)
    assert (np.asarray(got.distances) == want.distances.numpy()).all()


def test_points_of_the_host_beside_queries_of_the_card(device: "torch.device") -> None:
    points = np.arange(30.0).reshape(10, 3)
    got = kernels.knn(torch.from_numpy(points[:2]).to(device), points, 2)
    assert got.indices.cpu().tolist() == [[0, 1], [1, 0]]


def test_what_the_current_stream_has_yet_to_write_is_read(device: "torch.device") -> None:
    """The points are written late in a stream of their own; the call waits its turn there."""
    with torch.cuda.stream(torch.cuda.Stream(device)):
        for _ in range(5):
            points = torch.zeros(3000, 64, device=device)
            work = torch.ones(2048, 2048, device=device)
            for _ in range(50):
                work = work @ work / 2048
            points[:, 0] = torch.arange(3000, device=device) * work[0, 0]
            got = kernels.knn(points[:200], points, 2)
            assert torch.equal(got.indices[:, 0].cpu(), torch.arange(200))
            assert (got.distances[1:, 1] == 1).all()


def test_memory_is_torchs_and_all_of_it_is_given_back(device: "torch.device") -> None:
    points = torch.randn(20_000, 128, device=device)
    kernels.knn(points[:500], points, 5)
    before = torch.cuda.memory_allocated(device)
    kernels.knn(points[:500], points, 5)
    assert torch.cuda.memory_allocated(device) == before
    assert torch.cuda.max_memory_allocated(device) > before


def test_the_current_device_stays(device: "torch.device") -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one card")
    other = torch.randn(3000, 40, device="cuda:1")
    got = kernels.knn(other[:10], other, 3)
    assert got.indices.device == other.device
    assert torch.cuda.current_device() == device.index


def test_a_value_that_is_not_finite_is_named(device: "torch.device") -> None:
    points = torch.zeros(3000, 40, device=device)
    points[1234, 5] = float("nan")
    with pytest.raises(ValueError, match="knn: points row 1234 holds nan"):
        kernels.knn(points[:10], points, 3)
