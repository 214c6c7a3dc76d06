"""The command `tenminute`."""

from __future__ import annotations

import sys

from rich.console import Console

from stream.cli import app
from stream.edge.signals import follow_parent
from stream.errors import FatalError


def main() -> None:
    """Run the command; a fault is one line on standard error and an exit code."""
    follow_parent()
    try:
        app()
    except FatalError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]tenminute:[/] {error.message}", markup=True)
        console.print(f"  fix: {error.fix}", markup=False)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
