"""The images of a project: a folder of manifests, and who is reading which.

`<name>` is a published image; `<name>.staged` one whose chunks are there but whose `published` entry may not be in the
log. The file system is the only state that outlives a process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..config import ImagePolicy
from ..errors import Damaged
from .chunks import Chunks
from .darkroom import Developer, Here
from .files import Files
from .manifest import Image, Manifest, Name, decode, encode, name_of, parse_name
from .retention import Shown, retired

FOLDER = "images"
STAGED = ".staged"
#: Manifests that stay in memory, in bytes.
CACHED_BYTES = 64 << 20


class Images:
    """Those of one project. Every method may be called from any thread."""

    def __init__(self, files: Files, folder: Path, cache: Cache) -> None:
        self._files, self._folder = files, folder / FOLDER
        self._cache = cache
        self._lock = threading.Lock()
        self._names: list[Name] | None = None
        #: A chunk of the newest image may be missing or not itself: the next one has to be made from scratch.
        self.harmed = False
        self._harms: set[str] = set()

    def found_harmed(self, problem: Damaged) -> None:
        """Somebody could not read an image. Each chunk counts once: what no new image has is harmed for ever."""
        with self._lock:
            self.harmed = self.harmed or problem.path not in self._harms
            self._harms.add(problem.path)

    def names(self) -> list[Name]:
        """The published ones, oldest first; none of their files is read."""
        with self._lock:
            if self._names is None:
                found = [parse_name(path.name) for path in self._manifests()]
                self._names = sorted(name for name in found if name is not None)
            return list(self._names)

    def newest(self) -> Image | None:
        """Raises Damaged where its manifest is."""
        names = self.names()
        return self.load(names[-1]) if names else None

    @property
    def version(self) -> int:
        """The version of the newest image; 0: there is none."""
        names = self.names() if self._names is None else self._names
        return names[-1].version if names else 0

    @property
    def at_hand(self) -> bool:
        """Whether `newest` would touch no file."""
        names = self._names
        return names is not None and (not names or self._cache.get(self._key(names[-1])) is not None)

    def find(self, version: int, hash: str) -> Image | None:
        for name in self.names():
            if (name.version, name.hash) == (version, hash):
                return self.load(name)
        return None

    def of_version(self, version: int) -> Image | None:
        """The newest image of a version."""
        found = [name for name in self.names() if name.version == version]
        return self.load(found[-1]) if found else None

    def load(self, name: Name) -> Image | None:
        """None where it was retired in the meantime. Raises Damaged."""
        cached = self._cache.get(self._key(name))
        return self._read(name) if cached is None else cached

    def cached(self, version: int, hash: str) -> Image | None:
        """`find`, without touching a file; None where that would be needed."""
        for name in self._names or ():
            if (name.version, name.hash) == (version, hash):
                return self._cache.get(self._key(name))
        return None

    def stage(self, manifest: Manifest) -> Image:
        """Make a manifest durable whose chunks are; it is not to be seen yet. Raises OSError."""
        image = Image(manifest, manifest.hash)
        self._files.make_folder(self._folder)
        self._files.write(self._staged(name_of(image)), encode(manifest))
        return image

    def publish(self, image: Image, logged: bool = True) -> None:
        """The log says that it is published: let it be seen. Raises OSError; then `settle` does it later, as it does
        where the new name is lost with the power. `logged` False: no log will say it, so that is made durable here."""
        name = name_of(image)
        self._files.rename(self._staged(name), self._folder / str(name))
        if not logged:
            self._files.sync_folder(self._folder)
        with self._lock:
            self._names = None
        self._cache.put(self._key(name), image)

    def publish_staged(self, seq: int, hash: str) -> None:
        """`publish`, of an image that was staged before a restart, if it was. Raises OSError."""
        for name in self.staged():
            if (name.seq, name.hash) == (seq, hash):
                self._files.rename(self._staged(name), self._folder / str(name))
        with self._lock:
            self._names = None

    def unstage(self, image: Image) -> None:
        """The log does not say that it is published, and never will."""
        self._files.unlink(self._staged(name_of(image)))

    def staged(self) -> list[Name]:
        """What a crash left between staging and publishing."""
        ends = [path.name.removesuffix(STAGED) for path in self._manifests() if path.name.endswith(STAGED)]
        return [name for name in map(parse_name, ends) if name is not None]

    def settle(self, published: Collection[tuple[int, str]], open_after: int | None = None) -> None:
        """Bring what is staged to where the log says that it is: seqs and hashes of the published ones. Of what comes
        after an entry, `open_after`, the log may say it yet: that stays staged."""
        for name in self.staged():
            if (name.seq, name.hash) in published:
                self._files.rename(self._staged(name), self._folder / str(name))
            elif open_after is None or name.seq <= open_after:
                self._files.unlink(self._staged(name))
            self._files.sync_folder(self._folder)
        with self._lock:
            self._names = None

    def retire(self, name: Name) -> None:
        """Forget an image; its chunks go with the next sweep."""
        self._files.unlink(self._folder / str(name))
        self._files.sync_folder(self._folder)
        with self._lock:
            self._names = None
        self._cache.drop(self._key(name))

    @contextmanager
    def reading(self, image: Image) -> Iterator[None]:
        """It is not retired as long as the `with` lasts, and for the grace period after it."""
        with self._cache.reading(self._key(name_of(image)), image):
            yield

    def was_read(self, image: Image) -> None:
        """Somebody has read of it just now, at once."""
        self._cache.was_read(self._key(name_of(image)))

    def retire_old(self, policy: ImagePolicy, now: float) -> list[Name]:
        """Forget what nobody needs any more; reads no manifest. Returns which."""
        found: list[Shown] = []
        for name in self.names():
            with suppress(FileNotFoundError):
                at = (self._folder / str(name)).stat().st_mtime
                found.append(Shown(name, at, self._cache.last_read(self._key(name))))
        gone = retired(found, policy, now, self._cache.started)
        for name in gone:
            self.retire(name)
        return gone

    def all_chunks(self) -> Iterator[bytes]:
        """The chunks of every manifest that is there, staged or not. Raises Damaged."""
        missed = True
        while missed:  # one that went while we looked may have made room for another
            missed = False
            for path in self._manifests():
                content = self._files.read(path)
                if content is None:
                    missed = True
                    continue
                manifest = decode(content, str(path))
                yield from (manifest.chunk(index) for index in range(manifest.count()))

    def _manifests(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if parse_name(path.name.removesuffix(STAGED)) is not None]
        except FileNotFoundError:
            return []

    def _read(self, name: Name) -> Image | None:
        path = self._folder / str(name)
        content = self._files.read(path)
        if content is None:
            return None
        image = Image(manifest := decode(content, str(path)), manifest.hash)
        if name_of(image) != name:
            raise Damaged(str(path), "is the manifest of another image")
        self._cache.put(self._key(name), image)
        return image

    def _staged(self, name: Name) -> Path:
        return self._folder / f"{name}{STAGED}"

    def _key(self, name: Name) -> Key:
        return str(self._folder), name


Key = tuple[str, Name]


class Cache:
    """Manifests in memory, and who reads which image. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: OrderedDict[Key, Image] = OrderedDict()
        self._bytes = 0
        self._readers: Counter[Key] = Counter()
        self._held: dict[Key, Image] = {}
        self._read: dict[Key, float] = {}
        self.started = time.time()

    def get(self, key: Key) -> Image | None:
        with self._lock:
            image = self._images.get(key)
            if image is not None:
                self._images.move_to_end(key)
            return image

    def put(self, key: Key, image: Image) -> None:
        with self._lock:
            old = self._images.pop(key, None)
            self._bytes += len(image.manifest.chunks) - (len(old.manifest.chunks) if old else 0)
            self._images[key] = image
            while self._bytes > CACHED_BYTES and len(self._images) > 1:
                _, old = self._images.popitem(last=False)
                self._bytes -= len(old.manifest.chunks)

    def drop(self, key: Key) -> None:
        with self._lock:
            old = self._images.pop(key, None)
            self._bytes -= len(old.manifest.chunks) if old else 0
            if not self._readers[key]:
                self._read.pop(key, None)

    @contextmanager
    def reading(self, key: Key, image: Image) -> Iterator[None]:
        with self._lock:
            self._readers[key] += 1
            self._held[key] = image
        try:
            yield
        finally:
            with self._lock:
                self._read[key] = time.time()
                self._readers[key] -= 1
                if not self._readers[key]:
                    del self._readers[key], self._held[key]

    def was_read(self, key: Key) -> None:
        with self._lock:
            self._read[key] = time.time()

    def last_read(self, key: Key) -> float | None:
        """Seconds since 1970, infinity while somebody reads; None if nobody has since the start."""
        with self._lock:
            return float("inf") if self._readers[key] else self._read.get(key)

    def held(self) -> list[Image]:
        """The images that somebody reads now, whatever became of their manifests."""
        with self._lock:
            return list(self._held.values())


class Gallery:
    """The images of a node, by project, over one store of chunks."""

    def __init__(self, files: Files, data: Path, developer: Developer | None = None) -> None:
        """`developer`: who makes the chunks of images; None: whoever wants one."""
        self._files, self._data = files, data
        self.chunks = Chunks(files, data / "chunks")
        self.developer = developer or Here()
        self._cache = Cache()
        self._lock = threading.Lock()
        self._projects: dict[str, Images] = {}
        #: Whether there may be chunks that nothing names; a crash may have left some.
        self.littered = True

    def of(self, project: str) -> Images:
        """The images of a project, whether it is open or not."""
        with self._lock:
            images = self._projects.get(project)
            if images is None:
                images = self._projects[project] = Images(self._files, self._data / "projects" / project, self._cache)
            return images

    def forget(self, project: str) -> None:
        """The project is deleted."""
        with self._lock:
            self._projects.pop(project, None)
            self.littered = True

    def retire_old(self, policy: ImagePolicy, everywhere: bool) -> None:
        """Forget images that nobody needs: of the projects that were asked for since the start, or of all of them."""
        with self._lock:
            known = dict(self._projects)
        projects = self._files.folders(self._data / "projects") if everywhere else list(known)
        for project in projects:
            images = known.get(project) or Images(self._files, self._data / "projects" / project, self._cache)
            if images.retire_old(policy, time.time()):
                self.littered = True

    def sweep(self) -> int:
        """Remove chunks that nothing names; returns how many. Reads every manifest, so: on a thread of its own.

        Raises Damaged, and removes nothing, where a manifest cannot be read: nobody knows what it names.
        """
        self.littered = False
        return self.chunks.sweep(self._named())

    def _named(self) -> Iterator[bytes]:
        for project in self._files.folders(self._data / "projects"):
            yield from self.of(project).all_chunks()
        for image in self._cache.held():
            yield from (image.manifest.chunk(index) for index in range(image.manifest.count()))
