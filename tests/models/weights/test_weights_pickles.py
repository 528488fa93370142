"""The restricted unpickler reads what Python's reads, as long as it is plain data."""

from __future__ import annotations

import io
import pickle
import zlib
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.pickles import load_plain
from tests.support.models import weights_files as wf

plain_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=300)
)
plain_objects = st.recursive(
    plain_leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner, inner, inner)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=20,
)


def load(data: bytes, **options: Any) -> Any:
    return load_plain(io.BytesIO(data), name="file.bin", **options)


@settings(max_examples=60, deadline=None)
@given(value=plain_objects, protocol=st.integers(0, 5))
def test_plain_objects_of_every_protocol_come_back_equal(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.dtype(c) for c in ("f2", "<f4", ">f8", "i8", ">u2", "?", "U3", "S4")]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    protocol=st.integers(0, 5),
    fortran=st.booleans(),
)
def test_arrays_of_every_protocol_come_back_equal(array: Any, protocol: int, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    found = load(pickle.dumps({"a": array, "b": [array]}, protocol))
    assert found["b"][0] is found["a"]
    np.testing.assert_array_equal(found["a"], array)
    assert found["a"].dtype == pickle.loads(pickle.dumps(array, protocol)).dtype


@pytest.mark.parametrize("protocol", range(6))
def test_scalars_ordered_dicts_and_object_arrays_come_back_equal(protocol: int) -> None:
    held = np.empty((2,), object)
    held[:] = [{"x": 1}, [np.float32(2.5)]]
    value = OrderedDict(a=np.float64(0.1), b=np.int64(-3), c=held)
    found = load(pickle.dumps(value, protocol))
    assert type(found) is OrderedDict
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == np.float64(0.1)
    assert type(found["b"]) is np.int64
    assert found["c"].tolist() == [{"x": 1}, [np.float32(2.5)]]


def test_many_small_objects_are_no_bomb() -> None:
    """The shortest opcodes there are, in numbers: labels, and an OrderedDict as Python 2 wrote it."""
    labels = np.array([i % 200 for i in range(40_000)], object)
    assert (load(pickle.dumps(labels, 4)) == labels).all()
    pairs = [wf.p_tuple(wf.p_text_of_python2(b"layer%d" % i), wf.p_int(i)) for i in range(20_000)]
    found = load(wf.p_dump(wf.p_call(wf.p_name("collections", "OrderedDict"), wf.p_list(*pairs))))
    assert found == {f"layer{i}": i for i in range(20_000)}


def test_shared_and_recursive_objects_keep_their_identity() -> None:
    value: list[Any] = [1]
    value.append(value)
    found = load(pickle.dumps({"a": value, "b": value}))
    assert found["a"] is found["b"]
    assert found["a"][1] is found["a"]


def test_sets_are_read_where_the_protocol_has_them() -> None:
    assert load(pickle.dumps({"s": {"a", 1}, "f": frozenset({b"x"})}, 4)) == {"s": {"a", 1}, "f": {b"x"}}


def test_a_pickle_is_left_where_it_ends_so_that_the_next_can_be_read() -> None:
    stream = io.BytesIO(pickle.dumps([1, 2]) + pickle.dumps("next") + b"rest")
    assert load_plain(stream, name="f") == [1, 2]
    assert load_plain(stream, name="f") == "next"
    assert stream.read() == b"rest"


def test_python_2_strings_are_text_or_array_data() -> None:
    data = bytes(range(256)) * 2
    assert load(wf.p_dump(wf.p_text_of_python2(data)), encoding="latin1") == data.decode("latin-1")
    with pytest.raises(WeightsError, match="damaged pickle"):
        load(wf.p_dump(wf.p_text_of_python2(data)))
    # Protocol 0 as Python 2 wrote it: quoted, escaped, put into the memo, then a mark's worth of pairs.
    assert load(b"(dp0\nS'a\\xff\\n'\np1\nL5L\nsg1\nI01\ns.", encoding="latin1") == {"a\xff\n": True}
    every = bytes(range(256))
    assert load(b"S" + repr(every)[1:].encode() + b"\n.", encoding="latin1") == every.decode("latin-1")
    for wrong in (rb"S'\xz'", b"S'a", b"Sa"):
        with pytest.raises(WeightsError, match="damaged pickle"):
            load(wrong + b"\n.", encoding="latin1")


@pytest.mark.parametrize("big_endian", [False, True])
def test_arrays_that_python_2_wrote_are_bit_identical(big_endian: bool) -> None:
    array = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    found = load(wf.p_dump(wf.p_array(array, big_endian=big_endian)), encoding="latin1")
    assert found.astype("<f4").tobytes() == array.tobytes()
    assert found.shape == array.shape


def test_more_names_can_be_allowed_and_persistent_ids_answered() -> None:
    asked = wf.p_tuple(
        wf.p_call(wf.p_name("my", "pair"), wf.p_int(1), wf.p_int(2)),
        wf.p_name("my", "marker"),
        wf.p_text("key") + b"Q",
    )
    found = load(
        wf.p_dump(asked),
        extra={("my", "pair"): lambda a, b: (b, a), ("my", "marker"): "M"},
        persistent_load=lambda key: f"<{key}>",
    )
    assert found == ((2, 1), "M", "<key>")


def test_damage_is_named_with_the_file_and_the_place() -> None:
    with pytest.raises(
        WeightsError, match=r"file\.bin: a damaged pickle, near byte \d+.*copy the file again"
    ):
        load(pickle.dumps([1.5, "text", b"bytes"])[:-6])


@settings(max_examples=100, deadline=500)
@given(noise=st.binary(max_size=200), seed=st.integers(0, 9))
def test_noise_is_refused_or_read_but_never_escapes(noise: bytes, seed: int) -> None:
    for data in (noise, zlib.compress(noise)[seed:], b"\x80\x04" + noise + b"."):
        error = ""
        try:
            load(data)
        except WeightsError as exc:
            error = str(exc)
        assert not error or error.startswith("file.bin: ")


def test_an_allowed_name_is_no_way_to_another() -> None:
    """What the table gives is called by the machine alone, and only with a tuple of arguments."""
    ordered = wf.p_name("collections", "OrderedDict")
    for trick in (
        ordered + wf.p_list() + b"R",
        wf.p_list() + wf.p_tuple() + b"R",
        ordered + wf.p_dict({}) + b"b",
    ):
        with pytest.raises(WeightsError):
            load(wf.p_dump(trick))
    with pytest.raises(UnsafeFileError, match=r"collections\.OrderedDict\.fromkeys"):
        load(b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.")
