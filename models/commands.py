"""The commands of `models`: each parses, makes one call and prints.

Those that bring a network take what tries it (`models.store.importing.NetworkTrial`) from cli.py, as
`context.obj`.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fc7.models.catalog import catalog
from fc7.models.common.command_table import parsed_by
from fc7.models.common.errors import UsageError
from fc7.models.common.program import command_line
from fc7.models.common.progress import make_progress, notifier
from fc7.models.listing import (
    catalogue_facts,
    facts_text,
    layer_rows,
    layer_table,
    network_rows,
    stored_facts,
)
from fc7.models.network_table import network_table, table_legend
from fc7.models.store import store
from fc7.models.store.availability import check_known
from fc7.models.store.default import chosen_default, default_network, forget_default, keep_default
from fc7.models.store.preprocess_flags import (
    AntialiasOption,
    CropOption,
    InterpolationOption,
    MeanOption,
    MeanOrImageOption,
    OnceCommand,
    OrderOption,
    PreprocessOption,
    ResizeOption,
    ScaleOption,
    StdOption,
    options,
)
from fc7.models.store.store import check_free, names

if TYPE_CHECKING:
    from fc7.models.store.store import StoredNetwork

NameArgument = Annotated[str, typer.Argument(help="A network's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace a network of that name.")]
ArchOption = Annotated[
    Literal[
        "alexnet",
        "caffenet",
        "alexnet-owt",
        "alexnet-tf",
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "resnet50-v2",
        "mobilenet-v3-large",
        "convnext-tiny",
    ]
    | None,
    typer.Option(help="Whose weights they are, where the file does not tell."),
]
LayerOption = Annotated[
    str | None, typer.Option(help="The tensor or node that features come from by default.")
]
PoolOption = Annotated[
    Literal["flatten", "avg", "max", "token"] | None,
    typer.Option(
        help="How a map becomes a vector: whole, or one number a channel; token: a ViT's class token."
    ),
]


def list_networks(as_json: JsonOption = False) -> None:
    """List the networks to choose from.

    Those of the catalogue, then those you imported. TOP-1/5 is the published accuracy on ImageNet in
    per cent, MB what is downloaded or in the network store, FEATURES how many numbers an image gives and from
    which layer. IMG/S and PEAK MB appear once `models bench` has measured them on this machine.
    """
    rows = network_rows(notifier(quiet=False))
    typer.echo(_json(rows) if as_json else f"{network_table(rows)}\n\n{table_legend()}")


def show(
    name: NameArgument,
    layers: Annotated[bool, typer.Option("--layers", help="List every tensor one can cut at.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say everything about one network.

    What it was trained on, how images are prepared for it, where its files lie or come from.
    """
    check_known(name)
    network = store.load(name) if name in store.names() else None
    say = notifier(quiet=False)
    facts = stored_facts(network, say) if network is not None else catalogue_facts(catalog.entry(name), say)
    rows = layer_rows(network.spec.layers) if network is not None else []
    if as_json:
        typer.echo(_json({**facts, "layers": rows} if layers and network is not None else facts))
    elif not layers:
        typer.echo(facts_text(facts))
    elif network is not None:
        typer.echo(layer_table(rows))
    else:
        typer.echo("\n".join(f"{layer} ({dim})" for layer, dim in catalog.entry(name).layers))
        pull_it = command_line("models", "pull", name)
        typer.echo(f"the usual ones; all of them after `{pull_it}`", err=True)


def default(
    name: Annotated[str | None, typer.Argument(help="The network that is meant where none is named.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Remove the network store's default.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which network --network means if it is not given, or choose another.

    The environment variable FC7_NETWORK goes before what is chosen here, which is kept in the network store;
    without both it is alexnet.
    """
    if name is not None and unset:
        raise UsageError(f"{name!r} and --unset were given; choose a default, or take it away")
    if name is not None:
        path = keep_default(name)
        if chosen_default().chosen_by == "environment":
            typer.echo(f"{name} is kept in {path}; {chosen_default().why} takes precedence", err=True)
    elif unset:
        forget_default()
    chosen = default_network()
    typer.echo(_json(asdict(chosen)) if as_json else f"{chosen.name}, {chosen.reason}")


@parsed_by(OnceCommand)
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A network of `models list`, or with --from a new name.")],
    from_url: Annotated[str | None, typer.Option("--from", help="Fetch the file from this address.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="What the file must hash to, where no hash was published.")
    ] = None,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified", help="Take a file that no hash is known for, from --from or over plain http."
        ),
    ] = False,
    arch: ArchOption = None,
    layer: LayerOption = None,
    pool: PoolOption = None,
    preprocess: PreprocessOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    order: OrderOption = None,
    resize: ResizeOption = None,
    crop: CropOption = None,
    interpolation: InterpolationOption = None,
    antialias: AntialiasOption = None,
    replace: ReplaceOption = False,
    repin: Annotated[
        bool, typer.Option("--repin", help="Trust the file that comes now, not the one of the first pull.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Download a network into the network store.

    The file is checked by its published hash; where none was published, the first file that comes over
    https is trusted, and every later one must be the same. The network is tried before it is kept. A stopped
    download goes on where it stopped. Nothing is done if the network is there already (--replace fetches it
    again).
    """
    from fc7.models.store.pulling import PullOptions, pull

    began = time.monotonic()
    was_here = name in names() and not (replace or repin)
    stated = options(
        preprocess,
        resize,
        mean=mean,
        std=std,
        scale=scale,
        order=order,
        crop=crop,
        interpolation=interpolation,
        antialias=antialias,
    )
    wanted = PullOptions(
        from_url,
        sha256=sha256,
        unverified=unverified,
        arch=arch,
        preprocess=stated,
        layer=layer,
        pool=pool,
        replace=replace,
        repin=repin,
    )
    network = pull(name, make_progress(quiet), wanted, notify=notifier(quiet), trial=context.obj)
    how = "pulled" if network.spec.trained else "made on the spot, with random weights"
    _say_done("was in the network store already" if was_here else how, network, began, quiet=quiet)


@parsed_by(OnceCommand)
def import_file(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="Weights of a network that --arch names (.pth, ...), or any ONNX.")
    ],
    name: Annotated[str, typer.Option("--as", help="What to call it.")],
    arch: ArchOption = None,
    prototxt: Annotated[Path | None, typer.Option(help="The deploy.prototxt of a .caffemodel.")] = None,
    layer: LayerOption = None,
    pool: PoolOption = None,
    preprocess: PreprocessOption = None,
    mean: MeanOrImageOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    order: OrderOption = None,
    resize: ResizeOption = None,
    crop: CropOption = None,
    interpolation: InterpolationOption = None,
    antialias: AntialiasOption = None,
    replace: ReplaceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring a network file into the network store.

    The file itself is left as it is. Weights of an AlexNet, and the state dicts that --arch names, go into
    our graph. Any other ONNX is kept whole. Unless the catalogue knows the file by its hash, --layer says
    where to cut it, and how its images are prepared is said by --preprocess, by --mean, --std and --scale, or
    by both. A network of several inputs is cut where one image alone is needed. The network is tried first:
    one that does not run, gives NaN or the same for every image, draws at random or lets an image's features
    depend on its batch is refused.
    """
    from fc7.models.store.importing import ImportOptions, import_network

    began = time.monotonic()
    check_free(name, replace)
    image = mean if isinstance(mean, Path) else None
    stated = options(
        preprocess,
        resize,
        mean=mean if image is None else None,
        std=std,
        scale=scale,
        order=order,
        crop=crop,
        interpolation=interpolation,
        antialias=antialias,
    )
    said = ImportOptions(
        arch=arch,
        preprocess=stated,
        layer=layer,
        pool=pool,
        prototxt=prototxt,
        mean=image,
        replace=replace,
    )
    network = import_network(file, name, said, notify=notifier(quiet), trial=context.obj)
    _say_done(f"imported from {file}", network, began, quiet=quiet)


def path(
    name: Annotated[
        str | None, typer.Argument(help="A network; without one, the whole network store.")
    ] = None,
) -> None:
    """Print the folder of the network store, or of a network.

    Copy it to a machine without a connection, and it works there.
    """
    typer.echo(str(store.store_root() if name is None else store.load(name).folder))


def verify(
    context: typer.Context,
    name: NameArgument,
    run: Annotated[bool, typer.Option("--run", help="Try it as an import does, too.")] = False,
) -> None:
    """Check a network's files by the hashes recorded when it was saved."""
    store.verify(name)
    typer.echo(f"{name}: every file is as it was saved")
    if run:
        network = store.load(name)
        context.obj(network.graph_path, network.spec, notifier(quiet=False))
        typer.echo(f"{name}: three pictures have the same features alone, once more and in a batch")


def remove(name: NameArgument) -> None:
    """Delete a network from the network store."""
    store.remove(name)
    typer.echo(f"{name}: removed from {store.store_root()}")


def _say_done(what: str, network: StoredNetwork, began: float, quiet: bool) -> None:
    if quiet:
        return
    spec = network.spec
    dim = spec.layer(spec.default_layer).dim(spec.pool)
    typer.echo(f"{spec.name}: {what}; features {spec.default_layer} ({dim}), {spec.preprocess.describe()}")
    typer.echo(f"{network.folder} ({network.size / 1e6:.1f} MB, {time.monotonic() - began:.1f} s)")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
