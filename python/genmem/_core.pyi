"""Stub of the native module; a test compares it with the signatures that pybind11 writes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from genmem.errors import BackendError
from genmem.kernels.card_arrays import CardMemory, CardRows

_Array = npt.NDArray[Any]
_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Stats = tuple[bool, int, int, int, bool]
_Rows = _Array | CardRows
_Place = tuple[int, int, list[int], CardMemory | None, bool]
_Layer = tuple[_Rows, _Rows, _Array, bool]

compiler: str
cuda_build: str

class BackendUnavailable(BackendError): ...  # noqa: N818  (the C++ name)

class CardArray:
    """An answer on a card, read in place by other libraries; NumPy gets a copy of it."""

    def __init__(
        self, backend: str, place: _Place | None, shape: list[int], typestr: str
    ) -> None: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __dlpack__(self, *, stream: object = None, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __array__(self, dtype: object = None, copy: object = None) -> _Array: ...
    def put(self, array: _Array) -> None: ...
    def seal(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

def backend_states() -> dict[str, str]: ...
def card_states() -> dict[str, str]: ...
def chosen_backend(backend: str) -> str: ...
def default_threads() -> int: ...
def on_host(array: _Rows, backend: str, place: _Place | None) -> _Array: ...
def strange(
    operation: str, arrays: list[tuple[str, CardRows]], backend: str, place: _Place | None
) -> bool: ...
def first_nonfinite_row(array: _Array) -> int: ...
def knn(
    queries: _Rows,
    points: _Rows,
    k: int,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
) -> tuple[_Float64, _Int64, _Stats]: ...
def knn_on_card(
    queries: _Rows,
    points: _Rows,
    k: int,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
    distances: object,
    indices: object,
) -> _Stats: ...
def radius_counts(
    queries: _Rows,
    points: _Rows,
    sq_radius: _Array,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
) -> tuple[_Int64, _Stats]: ...
def sq_distances(
    queries: _Rows, points: _Rows, backend: str, threads: int, place: _Place | None
) -> _Float64: ...
def log_kde(
    queries: _Rows,
    points: _Rows,
    kernel: str,
    sq_bandwidths: list[float],
    log_weights: _Array | None,
    sq_scales: _Array | None,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
) -> tuple[_Float64, _Int64, _Float64, _Stats]: ...
def log_kde_on_card(
    queries: _Rows,
    points: _Rows,
    kernel: str,
    sq_bandwidths: list[float],
    log_weights: _Array | None,
    sq_scales: _Array | None,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
    log_mass: float,
    log_masses: _Array | None,
    norms: list[float],
    out: object,
) -> _Stats: ...
def kde_gradient(
    queries: _Rows,
    points: _Rows,
    sq_bandwidth: float,
    log_weights: _Array | None,
    sq_scales: _Array | None,
    log_sum: _Array,
    exclude: _Array | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
) -> tuple[_Float64, _Stats]: ...
def grad_dot(
    queries: list[_Layer],
    points: list[_Layer],
    symmetric: bool,
    tol: float,
    backend: str,
    threads: int,
    memory: int = ...,
    place: _Place | None = None,
) -> _Float64: ...
def grad_dot_top(
    queries: list[_Layer],
    points: list[_Layer],
    k: int,
    largest: bool,
    query_scale: _Float64 | None,
    point_scale: _Float64 | None,
    screen: bool,
    backend: str,
    threads: int,
    memory: int = ...,
    place: _Place | None = None,
) -> tuple[_Int64, _Float64, int]: ...
def grad_dot_listed(
    queries: list[_Layer],
    points: list[_Layer],
    indices: _Int64,
    backend: str,
    threads: int,
    memory: int = ...,
    place: _Place | None = None,
) -> _Float64: ...
def grad_dot_on_card(
    queries: list[_Layer],
    points: list[_Layer],
    symmetric: bool,
    tol: float,
    query_scale: _Float64 | None,
    point_scale: _Float64 | None,
    backend: str,
    threads: int,
    memory: int,
    place: _Place | None,
    out: object,
    number: int,
) -> None: ...
def grad_dot_diagonal(
    queries: list[_Layer],
    points: list[_Layer],
    backend: str,
    threads: int,
    memory: int = ...,
    place: _Place | None = None,
) -> _Float64: ...
