"""Arrays of the emulated card: its memory is the host's, so they are ones that say so."""

from typing import Any

import numpy as np

CARD = "cuda-emulated"


class OnCard:
    """An array of another library on the emulated card."""

    def __init__(self, array: np.ndarray, **more: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, True),
            "strides": array.strides,
            "version": 3,
            "stream": None,
        } | more
