"""The command line."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import click
from rich.console import Console
from rich.markup import escape

from . import __version__
from .errors import ShareliteError

#: Each is a module of `commands/` with a command of its own name; loaded when it is asked for.
COMMANDS = {
    "serve": "Serve a data directory.",
    "cluster": "Make a cell of several nodes, look at it, change its members.",
    "demo": "Serve the demo, filled with real places.",
    "contract": "Check, push, pull, compare and migrate contracts; make types.",
    "projects": "List, make, rename and delete projects of a running server.",
    "sql": "Speak SQL to a project: a prompt, or a script.",
    "import": "Make a project of a SQLite file, or fill tables from CSV, JSON and GeoJSON.",
    "export": "Write a project as a SQLite file, SQL text, JSON or CSV.",
    "publish": "Write a project as plain files for any static host.",
    "verify": "Check a data directory from its bytes.",
    "token": "Make a token for a user, and the key file it is signed with.",
}


#: Where a command is not in a module of its own name: `import` is a word of Python.
MODULES = {"import": ("imports", "import_"), "export": ("exports", "export")}


class Lazy(click.Group):
    """The commands by name, without loading any."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        file, attribute = MODULES.get(name, (name, name))
        module = f"{__package__}.commands.{file}"
        if name not in COMMANDS or find_spec(module) is None:
            return None
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sharelite")
def sharelite() -> None:
    """One project = one SQLite database, and that database is the document.

    \b
    Try:
      sharelite serve data                       a server for this machine, at http://127.0.0.1:8080
      sharelite serve data --contracts contracts the same, with the contracts of a folder
      sharelite demo                             the scene editor on real data
      sharelite COMMAND --help                   what a command does, with examples
    """


def main() -> None:
    """Run a command; what goes wrong is one sentence and exit status 1, not a traceback."""
    try:
        sharelite(prog_name="sharelite")
    except ShareliteError as problem:
        Console(stderr=True).print(f"[bold red]sharelite:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
