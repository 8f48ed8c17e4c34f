"""When projects are opened and closed: the state machine, driven at random against a model (SPEC L19 to L24)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sharelite.errors import NotFound, Unavailable
from sharelite.life import CLOSED_AT_ONCE, GRACE_SECONDS, Close, Enter, Gone, Lives, Open, Refuse, TooManyOpen

MOST, IDLE = 2, 60.0
NAMES = "abcd"
BROKEN = OSError("the disk says no")
STOPPED = Unavailable("it stopped")


class World(RuleBasedStateMachine):
    """What a shell would see: which projects it has in hand, who waits and who holds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.busy: set[str] = set()
        self.lives = Lives(MOST, IDLE, self.busy.__contains__)
        self.opening: list[str] = []
        self.open: list[str] = []
        self.closing: list[str] = []
        self.waiting = dict.fromkeys(NAMES, 0)
        self.holders: list[tuple[str, int]] = []
        #: Those whose project was closed beneath them.
        self.left_behind: list[tuple[str, int]] = []
        self.must_go: dict[str, float] = {}
        self.retired: set[str] = set()
        self.gone: set[str] = set()
        self.ended = False

    @rule(name=st.sampled_from(NAMES))
    def use(self, name: str) -> None:
        if name in self.gone:
            return  # the catalog knows it no more
        try:
            if self.lives.use(name, self.now):
                assert name in self.open and name not in self.must_go
                self.holders.append((name, self.lives.generation(name)))
            else:
                assert name not in self.open or name in self.must_go
                self.waiting[name] += 1
        except TooManyOpen:
            assert len(self.opening) + len(set(self.open) - set(self.must_go)) == MOST
        except OSError:
            assert self.lives.state(name) == "failed"
        except (NotFound, Unavailable):
            assert self.ended or name in self.retired
        self.act()

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, number in self.waiting.items() if number]))
        self.waiting[name] -= 1
        self.lives.give_up(name)
        self.act()

    @precondition(lambda self: self.holders or self.left_behind)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name, generation = data.draw(st.sampled_from(self.holders + self.left_behind))
        whose = self.holders if (name, generation) in self.holders else self.left_behind
        whose.remove((name, generation))
        self.lives.leave(name, generation, self.now)
        self.act()

    @precondition(lambda self: self.opening)
    @rule(works=st.booleans(), data=st.data())
    def opening_ends(self, works: bool, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.opening))
        self.opening.remove(name)
        if works:
            self.open.append(name)
            self.lives.opened(name, self.now)
        else:
            self.lives.failed(name, BROKEN, self.now)
        self.act()

    @precondition(lambda self: self.closing)
    @rule(data=st.data())
    def closing_ends(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.closing))
        self.closing.remove(name)
        self.lives.closed(name, self.now)
        self.act()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def stops(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.open))
        self.must_go.setdefault(name, self.now + GRACE_SECONDS)
        self.lives.stopped(name, STOPPED, self.now)
        self.act()

    @rule(name=st.sampled_from(NAMES))
    def works(self, name: str) -> None:
        self.busy ^= {name} & set(self.open)

    @precondition(lambda self: not self.ended)
    @rule(name=st.sampled_from(NAMES), really=st.sampled_from([False, False, True]))
    def retire(self, name: str, really: bool) -> None:
        if really and name not in self.retired:
            self.retired.add(name)
            if name in self.open:
                self.must_go.setdefault(name, self.now + GRACE_SECONDS)
            self.lives.retire(name, NotFound("project", name), self.now)
            self.act()

    @rule(seconds=st.sampled_from([0.1, 1.0, GRACE_SECONDS, IDLE]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.lives.tick(self.now)
        self.act()

    @rule(really=st.sampled_from([False] * 9 + [True]))
    def end(self, really: bool) -> None:
        if really and not self.ended:
            self.ended = True
            for name in self.open:
                self.must_go[name] = self.now
            self.lives.end(Unavailable("the end"), self.now)
            self.act()

    @invariant()
    def no_more_are_open_than_may_be(self) -> None:
        kept = [name for name in self.open if self.lives.state(name) == "open"]
        assert len(self.opening) + len(kept) <= MOST

    @invariant()
    def nothing_is_kept_of_what_is_closed(self) -> None:
        for name in NAMES:
            state = self.lives.state(name)
            assert (state == "opening") == (name in self.opening)
            assert (state == "open") == (name in self.open and name not in self.must_go)
            assert (state == "closing") == (name in self.closing or (name in self.open and name in self.must_go))
            assert state != "failed" or not self.waiting[name]

    def act(self) -> None:
        for action in self.lives.take():
            self.do(action)

    def do(self, action: Any) -> None:
        name = action.project
        match action:
            case Open():
                assert name not in [*self.opening, *self.open, *self.closing] and name not in self.gone
                self.opening.append(name)
            case Close():
                beneath = [holder for holder in self.holders if holder[0] == name]
                due = self.must_go.pop(name, None)
                assert not beneath or (due is not None and due <= self.now)
                assert due is not None or name not in self.busy
                self.open.remove(name)
                self.busy.discard(name)
                self.closing.append(name)
                self.left_behind += beneath
                self.holders = [holder for holder in self.holders if holder[0] != name]
            case Enter():
                assert name in self.open and self.waiting[name]
                self.holders += [(name, self.lives.generation(name))] * self.waiting[name]
                self.waiting[name] = 0
            case Refuse():
                assert self.waiting[name]
                self.waiting[name] = 0
            case Gone():
                assert name not in [*self.opening, *self.open, *self.closing]
                self.gone.add(name)

    def teardown(self) -> None:
        """Once everybody leaves and every task ends, nobody waits and nothing is open any more."""
        for _ in range(100):
            for holder in [*self.holders, *self.left_behind]:
                self.lives.leave(*holder, self.now)
            self.holders, self.left_behind = [], []
            self.busy.clear()
            self.act()
            for name in list(self.opening):
                self.opening.remove(name)
                self.open.append(name)
                self.lives.opened(name, self.now)
                self.act()
            for name in list(self.closing):
                self.closing.remove(name)
                self.lives.closed(name, self.now)
                self.act()
            self.now += IDLE
            self.lives.tick(self.now)
            self.act()
        assert not any(self.waiting.values()) and not self.opening + self.open + self.closing
        assert all(self.lives.state(name) in (None, "failed") for name in NAMES) and not self.lives.troubles()
        assert self.retired <= self.gone


def test_whatever_happens_in_whatever_order_the_model_holds() -> None:  # L19, L20, L21, L22, L23
    run_state_machine_as_test(World)


def lives(most: int = MOST, busy: str = "") -> Lives:
    return Lives(most, IDLE, busy.__contains__)


def opened(machine: Lives, *names: str, now: float = 0.0) -> None:
    """Open these, held by nobody."""
    for name in names:
        assert not machine.use(name, now)
        machine.opened(name, now)
        machine.leave(name, machine.generation(name), now)
    machine.take()


def test_of_idle_projects_the_one_used_longest_ago_makes_room() -> None:  # L20
    machine = lives()
    opened(machine, "a", "b")
    assert machine.use("a", 1.0)
    machine.leave("a", machine.generation("a"), 1.0)
    machine.use("c", 2.0)
    assert machine.take() == [Close("b"), Open("c")]


def test_projects_in_use_or_at_work_make_no_room() -> None:  # L20
    machine = lives(busy="a")
    opened(machine, "a", "b")
    machine.use("b", 1.0)
    with pytest.raises(TooManyOpen, match="2 projects are open"):
        machine.use("c", 1.0)
    assert machine.take() == [] and machine.state("c") is None


def test_an_idle_project_is_closed_and_a_use_meanwhile_opens_it_again() -> None:  # L19
    machine = lives()
    opened(machine, "a")
    machine.tick(IDLE - 1)
    assert machine.take() == []
    machine.tick(IDLE)
    assert machine.take() == [Close("a")]
    assert not machine.use("a", IDLE)
    assert machine.take() == []
    machine.closed("a", IDLE)
    assert machine.take() == [Open("a")]
    machine.opened("a", IDLE)
    assert machine.take() == [Enter("a")]


def test_after_a_failed_opening_nobody_tries_at_once_and_then_somebody_does() -> None:  # L21
    machine = lives()
    machine.use("a", 0.0)
    machine.failed("a", BROKEN, 0.0)
    assert machine.take() == [Open("a"), Refuse("a", BROKEN)]
    with pytest.raises(OSError, match="the disk"):
        machine.use("a", 0.1)
    assert machine.take() == [] and not machine.use("a", 0.5) and machine.take() == [Open("a")]


def test_a_stopped_project_is_closed_and_opened_again_by_itself() -> None:  # L22
    machine = lives()
    opened(machine, "a")
    machine.use("a", 1.0)
    machine.stopped("a", STOPPED, 1.0)
    assert machine.take() == [] and machine.troubles() == {"a": STOPPED}
    machine.leave("a", machine.generation("a"), 2.0)
    assert machine.take() == [Close("a")]
    machine.closed("a", 2.0)
    assert machine.state("a") == "failed" and machine.troubles() == {"a": STOPPED}
    machine.tick(3.0)
    assert machine.take() == [Open("a")]
    machine.opened("a", 3.0)
    assert machine.troubles() == {}


def test_who_does_not_leave_a_stopped_project_keeps_the_others_waiting_for_some_seconds_only() -> None:  # L22
    machine = lives()
    opened(machine, "a")
    machine.use("a", 0.0)
    old = machine.generation("a")
    machine.stopped("a", STOPPED, 0.0)
    assert not machine.use("a", 1.0)
    machine.tick(GRACE_SECONDS)
    assert machine.take() == [Close("a")]
    machine.closed("a", 6.0)
    machine.opened("a", 6.0)
    machine.leave("a", old, 7.0)
    assert machine.take() == [Open("a"), Enter("a")]
    machine.tick(6.0 + IDLE)
    assert machine.take() == [], "the one who came later still holds it"


def test_few_idle_projects_are_closed_side_by_side() -> None:  # L19
    machine = lives(most=10)
    opened(machine, *"abcde")
    machine.tick(IDLE)
    assert machine.take() == [Close(name) for name in "abcde"[:CLOSED_AT_ONCE]]
    machine.closed("a", IDLE)
    assert machine.take() == [Close("abcde"[CLOSED_AT_ONCE])]


def test_a_deleted_project_is_gone_once_nobody_holds_it() -> None:  # L23
    machine = lives()
    opened(machine, "a")
    machine.use("a", 0.0)
    machine.retire("a", NotFound("project", "a"), 0.0)
    with pytest.raises(NotFound):
        machine.use("a", 0.0)
    assert machine.take() == []
    machine.leave("a", machine.generation("a"), 1.0)
    machine.closed("a", 1.0)
    assert machine.take() == [Close("a"), Gone("a")] and machine.state("a") is None
