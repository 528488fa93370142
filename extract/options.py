"""How to extract, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fc7.extract.engine.providers import Device, Precision
    from fc7.models.network.spec import Pool


AUTO, LOCAL = "auto", "local"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """On which cluster, with how many workers.

    Attributes
    ----------
    address : str
        ``host:port`` of a running cluster; ``auto`` is the running one if there is one, else a local
        one for this run; ``local`` always starts one.
    workers : int or None
        In the whole cluster; None is one a GPU, or a few on a node without.
    gpus_per_worker : float or None
        Below 1, workers share a GPU; 0 uses none. None is 1 where there are any.
    share_folder : bool
        False sends rows through Ray's object store even where workers see the cache's folder.
    """

    address: str = AUTO
    workers: int | None = None
    gpus_per_worker: float | None = None
    share_folder: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a network is run over images: one record from the command's call to the engine.

    Attributes
    ----------
    device : {"auto", "cuda", "tensorrt", "cpu"}
        "cuda" and "tensorrt" are errors unless the live session really has that provider; "cpu" is
        ONNX Runtime's own; "auto" is what ``FC7_DEVICE`` says where it is set, else CUDA, then OpenVINO in
        bf16, then what is faster in fp32 on this machine, OpenVINO or ONNX Runtime's own
        (`extract.engine.fastest`).
    precision : {"auto", "fp32", "fp16", "bf16"}
        "auto" is bf16 for OpenVINO on a CPU that multiplies it itself, else fp32; "fp16" is for NVIDIA
        GPUs.
    batch_size : int or None
        None takes the provider's (`extract.engine.providers.Candidate.batch_size`); a graph with a fixed
        batch keeps its own.
    jobs : int or None
        Images decoded at once; None is one a core. More than 8: in processes, from 100 images for each on.
    threads : int or None
        Of the network on the CPU, all calls together; None is one a core.
    exact_decode : bool
        Decode large JPEGs in full instead of at 1/2, 1/4 or 1/8 of their size; see
        `extract.images.decode.prepare`. Like engine and precision this is provenance, not identity: features
        of the two ways have a cosine of at least 0.999, so they may lie in one cache, a classifier takes
        both, and an unchanged image is not read again for it. Each run records its way.
    cluster : ClusterOptions or None
        Run on a Ray cluster; None runs in this process.
    """

    device: Device = "auto"
    precision: Precision = "auto"
    batch_size: int | None = None
    jobs: int | None = None
    threads: int | None = None
    exact_decode: bool = False
    cluster: ClusterOptions | None = None


@dataclass(frozen=True, slots=True)
class ExtractOptions(RunOptions):
    """How to extract, with what `RunOptions` has; the defaults are those of the command line.

    Attributes
    ----------
    network : str or None
        A name of the store or the catalogue; None for the default one (`models.store.default`).
    layers : tuple of str
        Empty for the network's default layer.
    preprocess : mapping of str to object
        Fields of `PreprocessSpec` that replace the network's own.
    pool : {"flatten", "avg", "max", "token"} or None
        How a map or a sequence of tokens becomes a vector; None is the network's own way.
    storage : {"float32", "float16"}
        How features are kept in the file.
    on_error : {"skip", "fail"}
        Whether an unreadable image is listed and left out, or ends the run.
    max_failures : float or None
        Stop when more images than this have failed: a number, or below 1 a share of the listing.
        The command line ends with 0 up to there, and without it with 1 if any has.
    retry_failed : bool
        Try unchanged files again that failed before.
    labels : Path or None
        A manifest of labels: CSV or TSV with the columns path, label and optionally group, split.
    group_by : str or None
        A regular expression on paths whose first group names what must stay together.
    label_by : str or None
        A folder's level, or a regular expression on paths, that gives the label.
    verify : bool
        Hash every file: an edit that left size and time alone is found too.
    repair : bool
        Read every stored feature, and redo the rows that fail their checksum.
    remove_missing : bool
        Take out the rows of images that are not listed any more, however many they are, and of those that
        cannot be looked at and lack a layer. Without it, more than a few end the run before it begins.
    force : bool
        Begin anew, and replace what stands there, a cache that another network made or anything else.

    Examples
    --------
    >>> options = ExtractOptions(network="alexnet", layers=("fc6", "fc7"), max_failures=0.01)
    >>> options.allows(9, images=1000), options.allows(11, images=1000)
    (True, False)
    """

    network: str | None = None
    layers: tuple[str, ...] = ()
    preprocess: dict[str, object] = field(default_factory=dict)
    pool: Pool | None = None
    storage: Literal["float32", "float16"] = "float32"
    on_error: Literal["skip", "fail"] = "skip"
    max_failures: float | None = None
    retry_failed: bool = False
    labels: Path | None = None
    group_by: str | None = None
    label_by: str | None = None
    verify: bool = False
    repair: bool = False
    remove_missing: bool = False
    force: bool = False

    def allows(self, failed: int, images: int) -> bool:
        """Whether so many of so many images may fail; without `max_failures` none may."""
        limit = self.max_failures or 0
        return failed <= (limit * images if limit < 1 else limit)
