"""`sharelite sql`: a prompt for SQL, or a script."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from sqlite3 import complete_statement

import click

from ..driver import Error
from ..driver.texts import statements
from ..errors import ShareliteError
from .projects import Remote, Server, says_where
from .shell import MODES, Shell, is_command


@click.command()
@click.argument("project", required=False)
@click.option("-c", "--command", help="Run this and leave.")
@click.option("--mode", type=click.Choice(MODES), default="table", show_default=True, help="How rows are shown.")
@says_where
def sql(project: str | None, command: str | None, mode: str, url: str, token: str | None) -> None:
    """Speak SQL to a PROJECT (its name or id) of a running server.

    A prompt with history and completion; .help says what else it knows. Where the input is no terminal it is read as a
    script, which ends with status 1 at the first error.

    \b
    Examples:
      sharelite sql plan
      sharelite sql plan -c "SELECT count(*) FROM todo"
      sharelite sql plan --mode csv < report.sql > report.csv
    """
    with Server(url, token) as server:
        shell = Shell(server, url, token, click.echo, mode, _width)
        try:
            if project is not None:
                shell.use(project)
            if command is None and sys.stdin.isatty():
                _talk(shell)
            else:
                _script(shell, sys.stdin if command is None else command.splitlines(keepends=True))
        except Error as problem:
            raise Remote(str(problem)) from None
        finally:
            shell.close()


def _width() -> int | None:
    """Of the terminal that shows it, if one does."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _script(shell: Shell, lines: Iterable[str]) -> None:
    for text in pieces(lines):
        shell.run(text)
        if shell.finished:
            return


def pieces(lines: Iterable[str]) -> Iterator[str]:
    """Statements, which may take several lines or share one, and commands, which have a line of their own."""
    begun = ""
    for line in lines:
        if not begun.strip() and is_command(line):
            yield line
            continue
        begun += line
        if complete_statement(begun):
            yield from statements(begun)
            begun = ""
    yield from statements(begun)


def _run(shell: Shell, text: str) -> None:
    """Raises KeyboardInterrupt, which has been told then."""
    try:
        for each in pieces([text]):
            shell.run(each)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise


def _talk(shell: Shell) -> None:
    """Until somebody leaves: what is wrong is said, and the prompt comes again."""
    from prompt_toolkit import PromptSession

    from .completing import Words, history

    click.echo(f"SQL at {shell.url}. End a statement with ; - .help says what else there is, Ctrl+D leaves.", err=True)
    session: PromptSession[str] = PromptSession(history=history(), complete_while_typing=False)
    while not shell.finished:
        try:
            completer = Words(shell.words() if not shell.in_transaction else [])
            text = session.prompt(shell.prompt, completer=completer)
            while not is_command(text) and text.strip() and not complete_statement(text):
                text += "\n" + session.prompt("   ...> ", completer=completer)
            _run(shell, text)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        except (Error, ShareliteError) as problem:
            click.echo(f"error: {problem}", err=True)
