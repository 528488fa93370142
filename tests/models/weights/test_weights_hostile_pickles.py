"""Pickles that would run code, or fill the memory of the machine: refused, by name, at no cost."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.pickles import load_plain
from fc7.models.weights.torch_file import read_torch
from tests.support.models import weights_files as wf

TOUCH = "echo x >"  # in every shell


class RunsCode:
    """Pickles itself as a call of os.system, as an attacker's file does."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def load(data: bytes, **options: Any) -> Any:
    return load_plain(io.BytesIO(data), name="file.bin", **options)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_the_system_is_refused_by_name_and_nothing_runs(
    tmp_path: Path, protocol: int
) -> None:
    proof = tmp_path / "executed"
    data = pickle.dumps({"weights": RunsCode(f"{TOUCH} {proof}")}, protocol)
    with pytest.raises(
        UnsafeFileError, match=rf"file\.bin: asks for {os.system.__module__}\.system, .*refused"
    ):
        load(data)
    assert not proof.exists()
    pickle.loads(data)  # the same bytes do run where a pickle is trusted
    assert proof.exists()


CODE = {
    "builtins.eval": b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.",
    "__builtin__.getattr": b"c__builtin__\ngetattr\n.",
    "os.system": b"(S'true'\nios\nsystem\n.",
    "numpy.load": b"cnumpy\nload\n.",
    "numpy.fromfile": b"\x80\x04\x8c\x05numpy\x8c\x08fromfile\x93.",
    "numpy.core.multiarray.frombuffer": b"cnumpy.core.multiarray\nfrombuffer\n.",
    "numpy.ma.core._mareconstruct": b"cnumpy.ma.core\n_mareconstruct\n.",
    "torch.load": b"ctorch\nload\n.",
    "collections.defaultdict": b"ccollections\ndefaultdict\n.",
    "builtins.bytearray": b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.",
    "_codecs.decode": b"c_codecs\ndecode\n.",
    "copy_reg._reconstructor": b"ccopy_reg\n_reconstructor\n.",
    "an object of its own": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "data outside the file": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("name", CODE)
def test_every_other_name_is_refused_where_it_stands(name: str) -> None:
    with pytest.raises(UnsafeFileError, match=f"asks for {name}.*nothing of it was run"):
        load(CODE[name])


def test_a_persistent_id_or_an_extension_code_is_no_back_door() -> None:
    for data in (b"Pwhatever\n.", b"\x80\x02X\x01\x00\x00\x00aQ.", b"\x80\x02\x82\x01."):
        with pytest.raises(UnsafeFileError):
            load(data)


def test_a_name_of_the_file_cannot_forge_lines_of_the_message() -> None:
    with pytest.raises(UnsafeFileError) as error:
        load(b"\x80\x04\x8c\x0aos\n\x1b[31m\xc2\xa0\x8c\x06system\x93.")
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def nested_key() -> bytes:
    """A tuple of itself twice, 60 times over: hashing it takes 2^60 steps."""
    return b"\x80\x02}K\x00" + b"2\x86" * 60 + b"K\x01s."


def again(thing: bytes, step: bytes, count: int) -> bytes:
    """Something put into the memo as number 0, then a step that uses it, many times."""
    return b"\x80\x02" + thing + b"q\x000](" + step * count + b"e."


TEXT = wf.p_text("x" * 200_000)
PAIRS = wf.p_list(*[wf.p_tuple(wf.p_int(i), wf.P_NONE) for i in range(1000)])
ENCODE = wf.p_name("_codecs", "encode") + b"(h\x00" + wf.p_text("latin1") + b"tR"
ORDERED = wf.p_name("collections", "OrderedDict") + b"(h\x00tR"
SCALAR = wf.p_name("numpy.core.multiarray", "scalar") + b"(" + wf.p_dtype("S200000", "|") + b"h\x00tR"


def array_of(state: bytes) -> bytes:
    return wf.p_dump(wf.p_built(wf.p_array_start(), state))


def array_claiming(*shape: int, code: str = "f4", data: bytes = b"U\x04abcd") -> bytes:
    sizes = wf.p_tuple(*map(wf.p_int, shape))
    return array_of(wf.p_tuple(wf.p_int(1), sizes, wf.p_dtype(code), wf.p_bool(False), data))


HUGE = {
    "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "bytearray of 2^50": b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"x.",
    "text of 2^62": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
    "Python 2 text of 2 GiB": b"T\xff\xff\xff\x7fx.",
    "Python 2 text of negative length": b"T\xff\xff\xff\xffx.",
    "integer of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
    "frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "memo of 2^31": b"\x80\x02Nr\xff\xff\xff\x7f",
    "an array of 2^40": array_claiming(1 << 40),
    "an array whose product overflows": array_claiming(1 << 32, 1 << 32),
    "an array of negative size": array_claiming(-1),
    "an array of 40 dimensions": array_claiming(*[1] * 40),
    "an array of 2^40 objects": array_claiming(1 << 40, code="O8", data=wf.p_list(wf.P_NONE)),
    "an array of items of 10^9 bytes": array_claiming(1, code="S999999999"),
    "an array of fields": wf.p_dump(wf.p_call(wf.p_name("numpy", "dtype"), wf.p_text("V8"), wf.p_int(0))),
    "an empty array of 2^40": wf.p_dump(
        wf.p_call(
            wf.p_name("numpy.core.multiarray", "_reconstruct"),
            wf.p_name("numpy", "ndarray"),
            wf.p_tuple(wf.p_int(1 << 40)),
            wf.p_text("b"),
        )
    ),
    "a key that is a tuple of tuples": nested_key(),
    "a text encoded ten thousand times": again(TEXT, ENCODE, 10_000),
    "a list made a dict ten thousand times": again(PAIRS, ORDERED, 10_000),
    "an item of 200 kB copied ten thousand times": again(TEXT, SCALAR, 10_000),
    "integers that collide": b"\x80\x02}("
    + b"".join(wf.p_int(i * ((1 << 61) - 1)) + b"N" for i in range(1, 9))
    + b"u.",
}


@pytest.mark.parametrize("name", HUGE)
def test_a_claim_beyond_the_file_is_refused_in_little_time_and_memory(name: str) -> None:
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(WeightsError):
            load(HUGE[name], encoding="latin1")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (8 << 20) + 24 * len(HUGE[name])
    assert time.monotonic() - began < 20


def test_a_pickle_of_half_a_million_containers_is_refused() -> None:
    with pytest.raises(UnsafeFileError, match="more than 500000 steps"):
        load(b"\x80\x02](" + b"]" * 500_000 + b"e.")


def test_a_dtype_state_with_fields_is_refused() -> None:
    made = wf.p_call(wf.p_name("numpy", "dtype"), wf.p_text("f4"))
    names = wf.p_tuple(wf.p_text("a"))
    fields = wf.p_dict({wf.p_text("a"): wf.p_tuple(wf.p_dtype("f8"), wf.p_int(1 << 30))})
    parts = [wf.p_int(3), wf.p_text("<"), wf.P_NONE, names, fields, wf.p_int(4), wf.p_int(1), wf.p_int(0)]
    with pytest.raises(UnsafeFileError, match=r"file\.bin: an array with fields"):
        load(wf.p_dump(wf.p_built(made, wf.p_tuple(*parts))))


def test_an_arrays_state_is_set_once() -> None:
    state = wf.p_tuple(
        wf.p_int(1), wf.p_tuple(wf.p_int(1)), wf.p_dtype(), wf.p_bool(False), wf.p_text_of_python2(b"abcd")
    )
    twice = wf.p_built(wf.p_built(wf.p_array_start(), state), state)
    with pytest.raises(WeightsError, match="an array state of unknown form"):
        load(wf.p_dump(twice), encoding="latin1")


def test_a_whole_pickled_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    model = wf.p_name("torchvision.models.alexnet", "AlexNet") + b")\x81"
    path = tmp_path / "model.pth"
    for data in (wf.torch_zip_of(model, {}), wf.torch_legacy_of(model, {})):
        path.write_bytes(data)
        with pytest.raises(
            UnsafeFileError,
            match=r"asks for torchvision\.models\.alexnet\.AlexNet.*torch\.save\(model\.state_dict",
        ):
            read_torch(path)


def test_a_pth_that_calls_the_system_runs_nothing(tmp_path: Path) -> None:
    proof, path = tmp_path / "executed", tmp_path / "weights.pth"
    call = wf.p_call(wf.p_name(os.system.__module__, "system"), wf.p_text(f"{TOUCH} {proof}"))
    for data in (wf.torch_zip_of(call, {}), wf.torch_legacy_of(call, {}), wf.p_dump(call)):
        path.write_bytes(data)
        with pytest.raises(UnsafeFileError, match=r"\.system"):
            read_torch(path)
    assert not proof.exists()
