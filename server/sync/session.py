"""One websocket connection as a state machine: no socket, no clock, no awaiting (SPEC F, W).

What the client says goes in through `receive`; what is to be done comes back as an action. What the client is to be
told is fetched with `take`, at the pace of its socket: a slow reader holds no more than its cursor. Belongs to the
event loop's thread.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ..config import Limits
from ..errors import BadRequest, CursorGone, NotJudged, RateLimited, ShareliteError, TooLarge
from ..model import EncodedCommit, MutationId, Outcome, Refusal
from . import messages
from .actions import (
    Action,
    Admit,
    Authenticate,
    Close,
    Greeting,
    News,
    NotText,
    OtherUser,
    ReadLog,
    State,
    WrongProtocol,
    close_code,
)
from .audience import Audience
from .feed import Feed, Frame, TailPassed, frame_of
from .rates import Bucket
from .wire import decode_push

SIGNALS_KEPT = 256
CLIENT = re.compile(r"[0-9a-f]{32}\Z")
FORBIDDEN = Refusal("forbidden", "this needs the role editor; the token gives reader here")
TOO_FAST = Refusal("rate_limited", "too many mutations; send the same ones again a little later, in order")


class Session:
    """One connection from `hello` to `goodbye`."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.state: State = "greeting"
        self.client = ""
        self.user = ""
        self.role = ""
        self.cursor = 0
        self.heard = 0
        #: Where the feed of the latest hello began: it brings only what came later.
        self._start = 0
        #: Pushes handed out and not answered yet.
        self.in_flight = 0
        self._limits = limits
        self._deadline = now + limits.hello_seconds
        self._expires: float | None = None
        self._hello: messages.Hello | None = None
        self._feed: Feed | None = None
        self._audience: Audience | None = None
        self._pushes = Bucket(limits.messages, limits.messages_burst, now)
        self._others = Bucket(limits.signals, limits.signals_burst, now)
        self._outbox: deque[str] = deque()
        #: Answers in the order of the versions that the feed must have passed before.
        self._answers: deque[tuple[int, str]] = deque()
        #: Own commits that the feed has yet to bring; each is the answer to its push.
        self._coming: deque[tuple[int, MutationId]] = deque()
        self._signals: deque[str] = deque(maxlen=SIGNALS_KEPT)
        self._close: Close | None = None

    # What the client says.

    def receive(self, text: str, now: float) -> Action | None:
        """One text message. Whatever cannot be understood ends the session with a goodbye that says why."""
        if self.state in ("closing", "closed"):
            return None
        try:
            if len(text) > self._limits.frame:
                raise TooLarge("the message", len(text), self._limits.frame)
            if self.state == "live" and text.startswith(messages.PUSH):
                return self._push(text, now)
            return self._other(text, now)
        except ShareliteError as problem:
            self.goodbye(problem)
            return None

    def receive_bytes(self) -> None:
        self.goodbye(NotText("messages are JSON text, not binary"))

    def _push(self, text: str, now: float) -> Action | None:
        mutation = decode_push(text, self.user)
        if (id := mutation.id) is None:
            raise BadRequest("a push over the websocket needs an id, or its answer would reach nobody")
        if not self._pushes.take(now):
            if self._pushes.sunk:
                raise RateLimited("mutations", 5.0)
            self._answers.append((self.cursor, messages.refused(id, self.cursor, TOO_FAST, 1.0)))
            return None
        if self.role == "reader" and mutation.faulty is None:
            mutation = msgspec.structs.replace(mutation, faulty=FORBIDDEN)
        self.in_flight += 1
        return Admit(mutation, id, self.cursor)

    def _other(self, text: str, now: float) -> Action | None:
        message = messages.decode(text)
        if self.state == "greeting" and not isinstance(message, messages.Hello):
            raise BadRequest("the first message is a hello")
        if isinstance(message, messages.Push):
            return self._push(text, now)
        if not self._others.take(now) and self._others.sunk:
            raise RateLimited("messages", 5.0)
        match message:
            case messages.Hello():
                return self._greeted(message)
            case messages.Presence():
                return self._show(message)
            case messages.Signal():
                return self._signal(message)
            case messages.Auth():
                return Authenticate(message.token)
        self._outbox.append(messages.PONG)
        return None

    def _greeted(self, hello: messages.Hello) -> Action | None:
        if self.state == "live" or (self.state == "adrift" and hello.client != self.client):
            raise BadRequest("hello was said already; another one only follows a reset")
        if hello.protocol != messages.PROTOCOL:
            raise WrongProtocol(f"this server speaks protocol {messages.PROTOCOL}, not {hello.protocol}")
        if not CLIENT.match(hello.client):
            raise BadRequest("client: needs 32 hexadecimal digits")
        self._hello, self.client = hello, hello.client
        return Authenticate(hello.token)

    def _show(self, message: messages.Presence) -> Action | None:
        state = messages.clean(message.state)
        if len(state) > self._limits.presence:
            raise TooLarge("the presence", len(state), self._limits.presence)
        assert self._audience is not None
        self._audience.show(self, state)
        return News()

    def _signal(self, message: messages.Signal) -> Action | None:
        data = messages.clean(message.data)
        if len(data) + len(message.topic) > self._limits.signal:
            raise TooLarge("the signal", len(data), self._limits.signal)
        assert self._audience is not None
        self._audience.signal(self, message.topic, data)
        return News()

    # What the house says.

    def greet(self, greeting: Greeting) -> None:
        """Let the client in: welcome, then the feed from its cursor, or a reset if that cannot be."""
        hello = self._hello
        assert hello is not None
        if self.state == "adrift" and greeting.user != self.user:
            self.goodbye(OtherUser())
        if self.state in ("closing", "closed"):
            return
        self.user, self.role, self._expires = greeting.user, greeting.role, greeting.expires
        self._feed, self._audience = greeting.feed, greeting.audience
        self.state = "live"
        self.cursor = self._start = greeting.feed.version if hello.cursor is None else hello.cursor
        self._outbox.append(self._welcome(greeting))
        if hello.epoch not in (None, greeting.epoch):
            gone = CursorGone("the project's log was replaced, versions of another epoch mean nothing here")
            self.lost(gone, greeting.image)
        elif not 0 <= self.cursor <= greeting.feed.version:
            gone = CursorGone(f"version {self.cursor} is ahead of the project, which is at {greeting.feed.version}")
            self.lost(gone, greeting.image)

    def _welcome(self, greeting: Greeting) -> str:
        limits = self._limits
        told = {
            "frame": limits.frame,
            "mutation": limits.mutation,
            "in_flight": limits.in_flight,
            "presence": limits.presence,
            "signal": limits.signal,
            "messages": limits.messages,
        }
        return messages.encode(
            messages.Welcome(
                project=greeting.project,
                version=greeting.feed.version,
                epoch=greeting.epoch,
                contract=greeting.contract,
                contract_hash=greeting.contract_hash,
                limits=told,
                client=self.client,
                user=self.user,
                role=self.role,
                image=greeting.image,
            )
        )

    @property
    def asked_cursor(self) -> int:
        """The version that the client says it has."""
        return 0 if self._hello is None or self._hello.cursor is None else self._hello.cursor

    def renew(self, user: str, role: str, expires: float | None) -> None:
        """A new token on the open socket."""
        if user != self.user:
            self.goodbye(OtherUser())
        else:
            self.role, self._expires = role, expires

    def answer(self, id: MutationId, seen: int, outcome: Outcome | ShareliteError) -> bool:
        """The outcome of an admitted push; whether there is something to `take`.

        A commit that the feed brings after the push is itself the answer.
        """
        self.in_flight -= 1
        if isinstance(outcome, NotJudged):
            refusal = Refusal(outcome.code, str(outcome))
            later = getattr(outcome, "retry_after", None)
            self._answers.append((self.cursor, messages.refused(id, self.cursor, refusal, later)))
        elif isinstance(outcome, ShareliteError):
            self.goodbye(outcome)
        elif outcome.refusal is not None:
            self._answers.append((outcome.version, messages.refused(id, outcome.version, outcome.refusal)))
        elif outcome.kind == "settled" or outcome.version <= max(seen, self._start) or self.state == "adrift":
            self._answers.append((outcome.version, messages.settled(id, outcome.version)))
        else:
            if outcome.version > self.cursor:
                self._coming.append((outcome.version, id))
            return False
        return True

    def relay(self, text: str) -> None:
        """Somebody else's signal. If the client does not read, the oldest ones are forgotten."""
        self._signals.append(text)

    def log_read(self, commits: Sequence[EncodedCommit]) -> None:
        """What `ReadLog` asked for."""
        try:
            self._passed(frame_of(commits, self.cursor))
        except CursorGone as gone:
            self.lost(gone)

    def lost(self, gone: CursorGone, image: Raw = messages.NO_IMAGE) -> None:
        """The feed cannot go on: reset. Pushes are still taken, and answered without it, until the next hello. `image`:
        one from which it goes on; where a commit is too large for the feed the newest one may be older than that."""
        self.state = "adrift"
        self._outbox.append(messages.reset(gone.reason, image))
        self._answers.extend((0, messages.settled(id, version)) for version, id in self._coming)
        self._coming.clear()

    def goodbye(self, problem: ShareliteError, retry_after: float | None = None) -> None:
        self._end(problem.code, str(problem), retry_after or getattr(problem, "retry_after", None))

    def farewell(self, retry_after: float) -> None:
        """The server goes down."""
        self._end("restart", "the server is being restarted", retry_after)

    def tick(self, now: float) -> None:
        """Look at the clock; once a second is enough."""
        if self.state == "greeting" and self._hello is None and now > self._deadline:
            self._end("no_hello", f"no hello came within {self._limits.hello_seconds:g} s")
        elif self._expires is not None and now > self._expires:
            self._end("unauthenticated", "the token has expired; renew it in time with an auth message")

    def closed(self) -> None:
        self.state = "closed"

    @property
    def full(self) -> bool:
        """Whether the client has as many unanswered pushes as it may: read on when one is answered."""
        return self.in_flight >= self._limits.in_flight

    # What the client is told.

    def take(self) -> str | ReadLog | Close | None:
        """The next thing to send or to do; None: nothing until something happens."""
        if self._outbox:
            return self._outbox.popleft()
        if self._close is not None:
            self.state = "closed"
            return self._close
        if self._answers and (self._answers[0][0] <= self.cursor or self.state == "adrift"):
            return self._answers.popleft()[1]
        if self.state == "live" and (news := self._take_commits() or self._take_presence()):
            return news
        return self._signals.popleft() if self._signals else None

    def _take_commits(self) -> str | ReadLog | None:
        assert self._feed is not None
        try:
            frame = self._feed.frame(self.cursor)
        except TailPassed:
            return ReadLog(self.cursor)
        except CursorGone as gone:
            self.lost(gone)
            return self._outbox.popleft()
        if frame is None:
            return None
        self._passed(frame)
        return self._outbox.popleft()

    def _take_presence(self) -> str | None:
        assert self._audience is not None
        return self._audience.presence(self)

    def _passed(self, frame: Frame) -> None:
        self._outbox.extend(frame.texts)
        self.cursor = frame.cursor
        while self._coming and self._coming[0][0] <= self.cursor:
            self._coming.popleft()

    def _end(self, code: str, message: str, retry_after: float | None = None) -> None:
        """Say goodbye, unless it was said already; nothing the client says counts from here."""
        if self.state not in ("closing", "closed"):
            self.state = "closing"
            self._outbox.append(messages.goodbye(code, message, retry_after))
            self._close = Close(close_code(code), code)
