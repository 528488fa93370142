"""A cache as a Parquet file, for Spark, DuckDB, Polars and pandas. The only importer of pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fc7.extract.cache.reader import CacheReader
from fc7.extract.kinds import PARQUET
from fc7.models.common.durable import explained, room_beside
from fc7.models.common.errors import CacheError, UsageError
from fc7.models.common.program import pip_install
from fc7.models.outputs.outputs import CallFiles, Destination

_ROWS = 4096
"""Rows that are in memory at once and make a row group, fewer where they would take more than 64 MiB."""


def to_parquet(path: str | Path, out: Destination, layer: str | None = None, *, force: bool = False) -> int:
    """Write a layer and all that is known of its rows; memory does not grow with the cache.

    The columns are ``path``, ``label``, ``group``, ``split``, ``sha256`` (strings; null for no label, group
    or split) and ``features``, a fixed-size list of float32. The file's key-value metadata has
    ``fc7.layer``, ``fc7.network``, ``fc7.fingerprint`` and ``fc7.preprocessing``.

    Parameters
    ----------
    path : str or Path
        A cache.
    layer : str or None
        The only or last one if None.
    force : bool
        Replace what stands at `out`, whatever it is.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    UsageError
        If pyarrow is not installed, something else stands at `out`, or nothing can be written there.
    UnknownLayerError, CacheError, CacheCorruptError
        As `load_features`; or if `out` cannot be written. `out` is as it was then.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise UsageError(f"Parquet files need pyarrow: {pip_install('fc7[parquet]')} ({exc})") from exc
    out = CallFiles([path], force=force).claim(out, PARQUET)
    target = out.place.target
    with (
        CacheReader(path) as reader,
        explained(out.path, out.option, CacheError),
        room_beside(target) as room,
    ):
        name = reader.layer(layer)
        schema = _schema(pa, reader, name)
        # Feature values hardly repeat, names do.
        with pq.ParquetWriter(
            room / target.name, schema, compression="zstd", use_dictionary=["label", "group", "split"]
        ) as writer:
            for rows, X in reader.iter_blocks(name, _ROWS):
                writer.write_table(_table(pa, schema, reader, rows=rows, X=X), row_group_size=len(X))
        out.put(room / target.name)
        return reader.n_rows


def _schema(pa: Any, reader: CacheReader, layer: str) -> Any:
    identity = reader.identity
    about = {
        "fc7.layer": layer,
        "fc7.network": identity.network,
        "fc7.fingerprint": identity.fingerprints[layer],
        "fc7.preprocessing": identity.preprocess.to_json(),
    }
    texts = [
        pa.field(name, pa.string(), nullable=name in ("label", "group", "split"))
        for name in ("path", "label", "group", "split", "sha256")
    ]
    features = pa.list_(pa.field("element", pa.float32(), nullable=False), identity.dims[layer])
    return pa.schema([*texts, pa.field("features", features, nullable=False)], about)


def _table(pa: Any, schema: Any, reader: CacheReader, rows: slice, X: Any) -> Any:
    some = reader.columns(rows)
    optional = ([text or None for text in column] for column in (some.label, some.group, some.split))
    texts = [pa.array(column, pa.string()) for column in (some.path, *optional, some.sha256)]
    features = pa.FixedSizeListArray.from_arrays(pa.array(X.reshape(-1)), type=schema.field("features").type)
    return pa.table([*texts, features], schema=schema)
