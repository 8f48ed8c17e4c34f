"""PySyncObj as we found it: the one version we have read, the private names we rely on, and what we take out of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pysyncobj.pickle
import pysyncobj.syncobj
import pysyncobj.version
from pysyncobj import SyncObj

from ...errors import ShareliteError
from .journal import Journal

VERSION = "0.3.17"
#: Methods that a node overrides or calls, with their parameters.
METHODS = {
    "_SyncObj__applyLogEntries": ("self",),
    "_SyncObj__generateRaftTimeout": ("self",),
    "_SyncObj__loadDumpFile": ("self", "clearJournal"),
    "_SyncObj__onMessageReceived": ("self", "node", "message"),
    "_SyncObj__sendAppendEntries": ("self",),
    "_SyncObj__setState": ("self", "newState"),
    "_SyncObj__tryLogCompaction": ("self",),
    "_onTick": ("self", "timeToWait"),
    "doTick": ("self", "timeToWait"),
    "transferLeadership": ("self", "node", "callback"),
}
#: Attributes that a node reads or sets.
ATTRIBUTES = (
    "_SyncObj__connectedNodes",
    "_SyncObj__lastResponseTime",
    "_SyncObj__newAppendEntriesTime",
    "_SyncObj__otherNodes",
    "_SyncObj__raftCommitIndex",
    "_SyncObj__raftCurrentTerm",
    "_SyncObj__raftElectionDeadline",
    "_SyncObj__raftLastApplied",
    "_SyncObj__raftLeader",
    "_SyncObj__raftLog",
    "_SyncObj__raftMatchIndex",
    "_SyncObj__raftNextIndex",
    "_SyncObj__serializer",
    "_SyncObj__transferInProgress",
    "_poller",
)


class WrongEngine(ShareliteError):
    """The installed PySyncObj is not the one whose inside is known here."""

    code = "wrong_engine"

    def __init__(self, what: str) -> None:
        self.what = what

    def __str__(self) -> str:
        return f"PySyncObj {VERSION} is needed, exactly: {self.what}; run `pip install pysyncobj=={VERSION}`"


def now() -> float:
    """PySyncObj's clock: seconds, never set back."""
    moment: float = pysyncobj.syncobj.monotonicTime()
    return moment


def check(found: type = SyncObj, version: str = pysyncobj.version.VERSION) -> None:
    """Raises WrongEngine unless every private name we rely on is there, as we know it."""
    if version != VERSION:
        raise WrongEngine(f"version {version} is installed")
    for name, parameters in METHODS.items():
        method = getattr(found, name, None)
        if method is None:
            raise WrongEngine(f"it has no {name}")
        if tuple(inspect.signature(method).parameters) != parameters:
            raise WrongEngine(f"{name} takes {inspect.signature(method)}")
    source = inspect.getsource(sys.modules[found.__module__])
    for name in ATTRIBUTES:
        if name.replace("_SyncObj__", "self.__") not in source and f"self.{name}" not in source:
            raise WrongEngine(f"it has no {name}")


def take_ready_journals() -> None:
    """`journalFile` may be a journal that is open already; everything else is as it was. May be called again."""
    original = pysyncobj.syncobj.createJournal
    if getattr(original, "takes_ready_journals", False):
        return

    def create(journal: Any = None) -> Any:
        return journal if isinstance(journal, Journal) else original(journal)

    create.takes_ready_journals = True  # type: ignore[attr-defined]
    pysyncobj.syncobj.createJournal = create


def disable_pickle() -> None:
    """In this process PySyncObj cannot make or read a pickle any more, whatever reaches it."""
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "pysyncobj"]
    for name in ("load", "loads", "dump", "dumps"):
        original, refusing = getattr(pysyncobj.pickle, name), _refusing(name)
        for module in ours:
            if getattr(module, name, None) is original:
                setattr(module, name, refusing)


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"pickle.{name} is not used here")

    return refuse
