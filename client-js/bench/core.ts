/** What the core costs, on both engines: `npm run bench`. Gates are those of the design; nothing here fails a build. */
import { Core } from '../src/core/core.js';
import type { Change, Commit, MutationId } from '../src/core/types.js';
import { sqliteWasm } from '../src/engine/sqlite-wasm.js';
import { sqljs } from '../src/engine/sqljs.js';
import type { Engine } from '../src/engine/types.js';
import { ROWS, wideProject, WIDTH } from './project.js';

const PENDING = 50;
const REMOTE = 100;

class Clock {
  private readonly samples: number[] = [];

  time(action: () => void): void {
    const start = performance.now();
    action();
    this.samples.push(performance.now() - start);
  }

  at(part: number): string {
    const sorted = this.samples.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!.toFixed(3);
  }
}

interface Line {
  what: string;
  gate: string;
  'p50 ms': string;
  'p99 ms': string;
}

function line(what: string, gate: string, clock: Clock): Line {
  return { what, gate, 'p50 ms': clock.at(0.5), 'p99 ms': clock.at(0.99) };
}

function opened(engine: Engine, file: Uint8Array): Core {
  const core = new Core(engine.open(file));
  core.edit(() => undefined);
  return core;
}

function firstWrite(engine: Engine, file: Uint8Array): Line {
  const clock = new Clock();
  for (let i = 0; i < 5; i++) {
    const core = new Core(engine.open(file));
    clock.time(() => core.edit((writer) => writer.apply(['u', 'item', ['k1'], { x: 1 }])));
    core.close();
  }
  return line(`first write: capture of ${WIDTH + 3} columns`, '', clock);
}

function edits(engine: Engine, file: Uint8Array): Line {
  const core = opened(engine, file);
  const clock = new Clock();
  for (let i = 0; i < 4000; i++) {
    const key = `k${(i * 37) % ROWS}`;
    clock.time(() => core.edit((writer) => writer.apply(['u', 'item', [key], { x: i + 0.5 }])));
  }
  core.close();
  return line('one-property edit with capture', '<= 0.2', clock);
}

function drafts(engine: Engine, file: Uint8Array): Line {
  const core = opened(engine, file);
  const clock = new Clock();
  const draft = core.openDraft();
  for (let i = 0; i < 4000; i++) {
    clock.time(() => core.editDraft(draft, (writer) => writer.apply(['u', 'item', ['k7'], { 'style.p7': i + 0.25 }])));
  }
  core.close();
  return line('one-property edit in a draft', '<= 0.2', clock);
}

function inserts(engine: Engine, file: Uint8Array): Line {
  const core = opened(engine, file);
  const clock = new Clock();
  for (let i = 0; i < 500; i++) {
    clock.time(() => core.edit((writer) => writer.apply(['i', 'item', [`n${i}`], { x: 1, y: 2, name: 'new' }])));
  }
  core.close();
  return line('insert of a row', '', clock);
}

function rebases(engine: Engine, file: Uint8Array, remote: number, pending: number, gate: string): Line {
  const core = opened(engine, file);
  for (let i = 0; i < pending; i++) {
    const id: MutationId = ['c', i + 1];
    core.pend(id, core.edit((writer) => writer.apply(['u', 'item', [`k${i}`], { y: i + 0.5 }])).changes);
  }
  const clock = new Clock();
  const x = new Map<string, number>();
  for (let round = 0; round < 60; round++) {
    const commits = Array.from({ length: remote }, (_, i): Commit => {
      const key = `k${(round * remote + i) % ROWS}`;
      const old = x.get(key) ?? Number(key.slice(1));
      x.set(key, old + 0.5);
      const change: Change = ['u', 'item', [key], { x: old + 0.5 }, { x: old }];
      return { v: core.version + 1 + i, kind: 'edit', changes: [change] };
    });
    clock.time(() => core.receive(commits));
  }
  core.close();
  return line(`rebase of ${pending} pending over ${remote} remote`, gate, clock);
}

for (const engine of [await sqliteWasm(), await sqljs()]) {
  const file = wideProject(engine);
  console.log(engine.name);
  console.table([
    firstWrite(engine, file),
    edits(engine, file),
    drafts(engine, file),
    inserts(engine, file),
    rebases(engine, file, REMOTE, PENDING, '<= 5'),
    rebases(engine, file, 1, 0, ''),
    rebases(engine, file, 1, 1, ''),
  ]);
}
