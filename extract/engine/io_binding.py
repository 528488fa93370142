"""Calls of a session on a GPU in buffers that are made once, in memory that the GPU itself reads and writes.

Not tried on hardware: no GPU was at hand. A session's first batch is therefore run both ways, and unless
both give the same rows, the ordinary way stays.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import weakref
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.records import Pixels

# CUDA Runtime API, "Memory Management": cudaHostRegister(void*, size_t, unsigned int); 0 is cudaSuccess,
# cudaHostRegisterPortable makes the memory page-locked for every context.
_PORTABLE = 1

Results = list[NDArray[np.float32]]


def cuda_runtime() -> Any:
    """The CUDA runtime that ONNX Runtime has loaded, or None."""
    names = (
        ("cudart64_13.dll", "cudart64_12.dll")
        if sys.platform == "win32"
        else ("libcudart.so.13", "libcudart.so.12")
    )
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def page_locked(shape: Sequence[int], dtype: np.dtype[Any], cudart: Any) -> NDArray[Any]:
    """An array that the GPU copies from and to by itself, without the driver's own buffer in between.

    Parameters
    ----------
    cudart : CDLL or None
        As `cuda_runtime`. Without it, or if it refuses, the memory is ordinary.
    """
    nbytes = int(np.prod(shape)) * dtype.itemsize
    # Whole pages: two registrations must not share one.
    pages = mmap.mmap(-1, max(nbytes, 1))
    array: NDArray[Any] = np.frombuffer(pages, dtype, count=int(np.prod(shape))).reshape(tuple(shape))
    if cudart is not None:
        address = ctypes.c_void_p(array.ctypes.data)
        if cudart.cudaHostRegister(address, ctypes.c_size_t(nbytes), ctypes.c_uint(_PORTABLE)) == 0:
            weakref.finalize(array, cudart.cudaHostUnregister, address).atexit = False
        else:
            # Takes the error away, which the next call of anybody would report as its own.
            cudart.cudaGetLastError()
    return array


class _Buffers:
    """One call's pixels and rows."""

    def __init__(self, session: Any, outputs: Sequence[str], input_name: str, images: Pixels, first: Results):
        cudart = cuda_runtime()
        self._input = input_name
        self._pixels = page_locked(images.shape, images.dtype, cudart)
        self._rows = [page_locked(rows.shape, rows.dtype, cudart) for rows in first]
        self._session = session
        self._binding = session.io_binding()
        for name, rows in zip(outputs, self._rows, strict=True):
            self._binding.bind_output(name, "cpu", 0, rows.dtype.type, rows.shape, rows.ctypes.data)

    def run(self, images: Pixels) -> Results:
        np.copyto(self._pixels, images)
        # To bind is to copy: what lies elsewhere goes to the device here.
        self._binding.bind_cpu_input(self._input, self._pixels)
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        return [rows.copy() for rows in self._rows]


class BoundRuns:
    """Runs batches of one size, several at a time.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    outputs : sequence of str
        Names of the graph's outputs.
    feeds : dict of str to ndarray of shape (n, height, width, 3), uint8
        The graph's input and the first batch.
    first : list of ndarray
        Its rows, of the ordinary way.
    errors : tuple of exception types
        What the session raises.

    Attributes
    ----------
    works : bool
        Whether this way gives the same rows.
    problem : str
        Why not; empty if it does.
    """

    def __init__(
        self,
        session: Any,
        outputs: Sequence[str],
        feeds: dict[str, Pixels],
        first: Results,
        calls_at_once: int,
        errors: tuple[type[Exception], ...],
    ) -> None:
        [(input_name, images)] = feeds.items()
        self._shape = images.shape
        self._free: SimpleQueue[_Buffers] = SimpleQueue()
        self.works = False
        self.problem = ""
        expected: tuple[type[Exception], ...] = (*errors, ValueError, TypeError, AttributeError, OSError)
        try:
            for _ in range(calls_at_once):
                buffers = _Buffers(session, outputs, input_name, images=images, first=first)
                again = buffers.run(images)
                if not all(
                    np.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(first, again, strict=True)
                ):
                    self.problem = "they gave other rows for the first batch"
                    return
                self._free.put(buffers)
        except expected as exc:
            # Another ONNX Runtime with another way of binding, or no memory for it.
            self.problem = " ".join(str(exc).split()) or type(exc).__name__
            return
        self.works = True

    def takes(self, images: Pixels) -> bool:
        """Whether a batch has the size that was bound."""
        return self.works and images.shape == self._shape

    def run(self, images: Pixels) -> Results:
        """Rows of a batch; waits while all buffers are in use."""
        buffers = self._free.get()
        try:
            return buffers.run(images)
        finally:
            self._free.put(buffers)
