"""``--ray`` with and without an address."""

from __future__ import annotations

import pytest

from fc7.extract.commands.ray_option import with_addresses


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("imgs --ray", "imgs --ray auto"),
        ("--ray imgs", "--ray auto imgs"),
        ("--ray -o f.h5 imgs", "--ray auto -o f.h5 imgs"),
        ("imgs --ray --workers 2", "imgs --ray auto --workers 2"),
        ("imgs --ray auto", "imgs --ray auto"),
        ("imgs --ray local", "imgs --ray local"),
        ("imgs --ray 10.0.0.1:6379", "imgs --ray 10.0.0.1:6379"),
        ("--ray head.example.org:6379 imgs", "--ray head.example.org:6379 imgs"),
        ("--ray [::1]:6379 imgs", "--ray [::1]:6379 imgs"),
        ("--ray ray://head:10001 imgs", "--ray ray://head:10001 imgs"),
        ("--ray=10.0.0.1:6379 imgs", "--ray=10.0.0.1:6379 imgs"),
        ("--ray s3://bucket/imgs", "--ray auto s3://bucket/imgs"),
        ("imgs -- --ray", "imgs -- --ray"),
        ("imgs", "imgs"),
    ],
)
def test_only_what_looks_like_an_address_is_taken_for_one(typed: str, meant: str) -> None:
    assert with_addresses(typed.split()) == meant.split()
