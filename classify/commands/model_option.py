"""The option that names a classifier, shared by the commands that read one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = Path("classifier.onnx")
ModelOption = Annotated[Path, typer.Option("-m", "--model", help="A classifier that fit wrote.")]
