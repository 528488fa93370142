"""The commands of `models` in this process, without the engine that the command line tries networks with."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from fc7.cli import application


def models_command(*arguments: str) -> Result:
    """What came of ``fc7 models ...``; its error is raised."""
    app = application()
    (models,) = (group for group in app.registered_groups if group.name == "models")
    models.context_settings = {}
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
