"""Thumbnails find copies whose features have moved, mirrored ones too, and tie no flat pictures."""

from __future__ import annotations

import numpy as np
import pytest

from fc7.classify.duplicates import greys
from fc7.classify.duplicates.find import Duplicates, find_duplicates
from fc7.classify.duplicates.greys import GreyDistances, mirrored
from fc7.classify.image_columns import ImageColumns


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Smooth 8 x 8 greys."""
    coarse = np.random.default_rng(seed).normal(size=(n, 4, 4))
    fine = np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)
    smooth = (fine + np.roll(fine, 1, axis=1) + np.roll(fine, 1, axis=2)) * 25 + 128
    return np.clip(smooth, 1, 255).astype(np.uint8).reshape(n, 64)


def find(thumbnails: np.ndarray, y: list[str], **options: object) -> Duplicates:
    """With features that are noise, so that thumbnails alone can tell."""
    X = np.random.default_rng(9).normal(size=(len(y), 40)).astype(np.float32)
    return find_duplicates(X, np.arange(len(y)), y, ImageColumns(thumbnails=thumbnails), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("block", [5, 4096])
def test_pairs_are_all_within_the_distance_each_the_nearer_way(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greys, "_BLOCK", block)
    T = np.concatenate([pictures(20), pictures(20)[:4], mirrored(pictures(20)[5:9])])
    T[3] = 77  # flat: not compared
    seen = GreyDistances(T)
    assert seen.rows.tolist() == [i for i in range(28) if i != 3]
    # By the textbook, in float64.
    Z = T[seen.rows].astype(np.float64)
    Z -= Z.mean(axis=1, keepdims=True)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    flip = np.arange(64).reshape(8, 8)[:, ::-1].ravel()
    Z -= (Z.mean(axis=0) + Z.mean(axis=0)[flip]) / 2
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    plain, other = 1 - Z @ Z.T, 1 - Z @ Z[:, flip].T
    for most in (0.001, 0.3):
        i, j, distance, turned = seen.pairs_within(most)
        expected = {
            (a, b): min(plain[a, b], other[a, b])
            for a in range(27)
            for b in range(a + 1, 27)
            if min(plain[a, b], other[a, b]) <= most
        }
        assert set(zip(i.tolist(), j.tolist(), strict=True)) == set(expected)
        np.testing.assert_allclose(
            distance, [expected[pair] for pair in zip(i.tolist(), j.tolist(), strict=True)], atol=1e-5
        )
        assert turned.tolist() == [
            other[a, b] < plain[a, b] for a, b in zip(i.tolist(), j.tolist(), strict=True)
        ]


def test_copies_that_only_thumbnails_show_are_found_brightened_or_mirrored() -> None:
    T, y = pictures(60), [f"c{i % 3}" for i in range(60)]
    darker = (T[[4, 7]] * 0.8 + 10).astype(np.uint8)
    found = find(np.concatenate([T, T[:1], darker, mirrored(T[[11]])]), [*y, "c1", y[4], y[7], y[11]])
    assert sorted(map(sorted, found.groups)) == [[0, 60], [4, 61], [7, 62], [11, 63]]
    assert all(pair.greys for pair in found.pairs)
    assert found.to_json()["found_by_thumbnails"] == len(found.pairs)
    assert "or of thumbnails" in found.describe()


def test_a_mirrored_copy_and_a_plain_one_of_the_same_picture_share_its_group() -> None:
    T, y = pictures(60), [f"c{i % 3}" for i in range(60)]
    extra = np.concatenate([mirrored(T[[8]]), T[[8]], mirrored(T[[8]])]) + np.uint8(1)
    found = find(np.concatenate([T, extra]), [*y, y[8], y[8], y[8]])
    assert found.groups == [[8, 60, 61, 62]]


def test_flat_pictures_and_rows_without_a_thumbnail_are_not_tied() -> None:
    T, y = pictures(40), [f"c{i % 2}" for i in range(40)]
    T[:10] = 200
    T[10:20] = 0
    T[20, :3] += 2
    assert find(T, y).groups == []


def test_a_threshold_of_ones_own_is_about_features_alone() -> None:
    T, y = pictures(30), ["a", "b"] * 15
    assert find(np.concatenate([T, T[:3]]), [*y, *y[:3]], cosine=0.99).groups == []
