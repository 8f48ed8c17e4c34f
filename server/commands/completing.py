"""What the prompt of `sharelite sql` takes from its terminal: words that Tab brings, and what was typed before."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from .shell import completions

logger = logging.getLogger(__name__)


class Words(Completer):
    """Of one prompt: the schema may be another one at the next."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        begun, found = completions(document.text_before_cursor, self._words)
        yield from [Completion(word, start_position=-len(begun)) for word in found]


def history() -> History:
    """Kept in the user's folder, or, where nothing can be written, until the prompt ends."""
    folder = Path(click.get_app_dir("sharelite"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sql_history").open("a").close()
    except OSError as problem:
        logger.warning("%s: %s; what is typed is not kept", folder, problem.strerror)
        return InMemoryHistory()
    return FileHistory(str(folder / "sql_history"))
