"""What the demo says at its end: commands to paste, and what came of it."""

from __future__ import annotations

from fc7.classify.commands.demo import (
    ANSWERS,
    COUNT,
    FEATURES,
    HEADS,
    MONTAGE,
    PREDICTIONS_FILE,
    SHAPES,
    TILES,
    DemoSummary,
)
from fc7.models.common.program import command_line
from fc7.models.store.unavailable import brought_by_pip


def demo_report(summary: DemoSummary) -> str:
    """Commands that do the same, three for the user's own photographs, accuracies, the picture to look at."""
    name = summary.network.name
    lines = [
        "",
        "the same, command by command:",
        *(f"  {command}" for command in commands_by_hand(summary)),
        "",
        "on your own photographs, a folder for each class (imgs/cat/001.jpg, imgs/dog/001.jpg, ...):",
        f"  {command_line('extract', 'imgs/', '--network', name)}",
        f"  {command_line('fit', '--svm')}",
        f"  {command_line('classify', 'new/')}",
        "",
        f"shapes with {name} ({'trained' if summary.network.trained else 'random weights'}):",
    ]
    for head, found in summary.metrics.items():
        low, high = found.accuracy_interval
        lines.append(
            f"  {head + ':':<9}{found.accuracy:.1%} of {found.n} held-out images right "
            f"(95% interval {low:.1%} to {high:.1%})"
        )
    lines.append(
        f"  {summary.n_right} of {summary.n_tiles} new shapes right; {summary.folder / MONTAGE} shows each"
    )
    if not summary.network.trained:
        lines += [
            "",
            "The weights are random: better than guessing (25%), no more. A trained network does more.",
            *brought_by_pip(name),
            "This downloads the default network:",
            f"  {command_line('models', 'pull', 'alexnet')}",
        ]
    return "\n".join(lines)


def commands_by_hand(summary: DemoSummary) -> list[str]:
    """The commands that do what the demo did."""
    root, name, seed = summary.folder, summary.network.name, str(summary.seed)
    commands = [
        command_line("shapes", root / SHAPES, "--count", str(COUNT), "--seed", seed),
        command_line("extract", root / SHAPES, "--network", name, "-o", root / FEATURES),
        *(
            command_line(
                *("fit", root / FEATURES, f"--{head}", "--seed", seed, "-o", root / f"{head}.onnx", "--force")
            )
            for head in HEADS
        ),
        command_line(
            *("classify", root / TILES, "-m", root / "svm.onnx", "-o", root / PREDICTIONS_FILE, "--force")
        ),
    ]
    if summary.photographs:
        where = summary.photographs[0].parent
        commands.append(command_line("imagenet", where, "--network", name, "-o", root / ANSWERS, "--force"))
    return commands
