/**
 * The worker's side of a viewer: SQLite on an image that is fetched as it is read. One question at a time.
 *
 * It tries once and says what went wrong; the page decides whether to ask again.
 */
import { readContract } from '../contract/read.js';
import { openFile, type Sqlite3 } from '../engine/sqlite-wasm.js';
import type { Db } from '../engine/types.js';
import { StoreError } from '../errors.js';
import type { Image } from '../lazy/image.js';
import { ImageReader, type Transport } from '../lazy/reader.js';
import { begin, wholeFile, type Ask } from '../lazy/rest.js';
import { Meter, type Budget, type Traffic } from '../lazy/traffic.js';
import { FILE_NAME, FILE_SYSTEM, ImageFileSystem } from '../lazy/vfs.js';
import { Paths } from '../paths/place.js';
import { readPlace } from '../paths/read.js';
import { query } from '../store/queries.js';
import type { Answers, Asked, Letter, Opened, Opening, Told } from './messages.js';

/** What the host asks of the world around it; tests bring their own. */
export interface HostWorld {
  sqlite3(wasmUrl: string | undefined): Promise<Sqlite3>;
  transport: Transport;
  ask: Ask;
  sameOrigin(url: string): boolean;
  /** Whether somebody still waits for the answer. */
  awaited(token: string): boolean;
  /** Milliseconds. */
  now(): number;
}

type Answer = Answers[keyof Answers];
interface Shown { reader: ImageReader; db: Db; paths: Paths; opened: Opened }

const POSITION = 'SELECT project, version FROM main."_sharelite" WHERE id=1';
const CONTRACT = 'SELECT contract_hash, contract FROM main."_sharelite" WHERE id=2';
/** The reader keeps pages already: SQLite needs room (KiB) for those that it is at. */
const OWN_CACHE = 'PRAGMA cache_size = -2048';
/** Milliseconds between two looks whether the answer of a running statement is still awaited. */
const LOOK_AGAIN = 50;

export class Host {
  private system: ImageFileSystem | undefined;
  private shown: Shown | undefined;
  private opening: Opening | undefined;
  private loading: Promise<Sqlite3> | undefined;
  private sqlite3: Sqlite3 | undefined;
  private canTell = false;
  private queue: Promise<void> = Promise.resolve();
  private token: string | undefined;
  private looked = 0;
  private readonly total = new Meter();

  constructor(
    private readonly world: HostWorld,
    private readonly tell: (told: Told, transfer: Transferable[]) => void,
  ) {}

  hear({ id, asked }: Letter): void {
    const answer = (): Promise<void> => this.answer(id, asked);
    // The rest of a file may take minutes: questions are answered meanwhile.
    if (asked.op === 'file') void answer();
    else this.queue = this.queue.then(answer);
  }

  private async answer(id: number, asked: Asked): Promise<void> {
    const before = this.total.spent;
    const cost = (): { spent: Traffic; total: Traffic } => {
      const total = this.total.spent;
      return { spent: { bytes: total.bytes - before.bytes, requests: total.requests - before.requests }, total };
    };
    try {
      const value = await this.work(id, asked);
      this.tell({ id, value, ...cost() }, value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : []);
    } catch (error) {
      this.tell({ id, failed: failed(error), ...cost() }, []);
    }
  }

  private work(id: number, asked: Asked): Answer | Promise<Answer> {
    switch (asked.op) {
      case 'start': return this.start(asked.wasmUrl);
      case 'open': return this.open(asked);
      case 'move': return this.move(asked.image, asked.changed);
      case 'address': this.now.reader.url = asked.url; return undefined;
      case 'read': return this.question(asked, ({ db, paths }) => readPlace(db, paths.place(asked.path)));
      case 'query': return this.question(asked, ({ db }) => query(db, asked.sql, asked.params));
      case 'file': return wholeFile(this.now.reader, this.world.ask, (progress) => this.tell({ id, progress }, []));
    }
  }

  private get now(): Shown {
    if (this.shown === undefined) throw new StoreError('closed', 'no image is open');
    return this.shown;
  }

  private start(wasmUrl: string | undefined): undefined {
    this.loading = this.world.sqlite3(wasmUrl);
    // Whoever opens hears of it.
    this.loading.catch(() => undefined);
  }

  private async open(opening: Opening): Promise<Opened> {
    this.opening = opening;
    // A page's policy may forbid to ask for such addresses.
    this.canTell = this.world.awaited(opening.token);
    const reader = this.reader(opening.image);
    await begin(reader, this.world.ask);
    this.sqlite3 = await this.loading!;
    this.system ??= new ImageFileSystem(this.sqlite3);
    this.shown = this.show(reader);
    return this.shown.opened;
  }

  /** If the other image cannot be opened, the present one stays. */
  private async move(image: Image, changed: number[] | undefined): Promise<Opened> {
    const before = this.now;
    const reader = this.reader(image);
    const differs = new Set(changed);
    if (changed !== undefined) reader.inherit(before.reader, (page) => page === 1 || differs.has(page));
    await begin(reader, this.world.ask);
    before.db.close();
    try {
      this.shown = this.show(reader);
    } catch (error) {
      this.shown = this.show(before.reader);
      throw error;
    }
    return this.shown.opened;
  }

  private reader(image: Image): ImageReader {
    const { ours, cacheBytes, wholeBytes } = this.opening!;
    return new ImageReader(image, this.world.transport, { ours, cacheBytes, wholeBytes, sameOrigin: this.world.sameOrigin(image.url) }, this.total);
  }

  /** Opens the file that the reader reads, and holds it against what was announced. */
  private show(reader: ImageReader): Shown {
    const system = this.system!;
    system.file = reader;
    return this.explained(() => {
      const db = openFile(this.sqlite3!, FILE_NAME, FILE_SYSTEM, () => this.isLeft());
      try {
        db.all(OWN_CACHE);
        checkPosition(db, reader.image);
        const [hash, text] = db.get(CONTRACT) ?? [];
        if (typeof hash !== 'string' || typeof text !== 'string') throw new StoreError('bad_file', 'the database has no contract');
        const document = JSON.parse(text) as Record<string, unknown>;
        return { reader, db, paths: new Paths(readContract(document, hash)), opened: { hash, document } };
      } catch (error) {
        db.close();
        throw error;
      }
    }, 'bad_file');
  }

  private question<T>({ budget, token }: { budget: Budget; token?: string }, fn: (shown: Shown) => T): T {
    const shown = this.now;
    shown.reader.meter = new Meter(budget);
    shown.reader.before = () => this.stopIfLeft();
    this.token = this.canTell ? token : undefined;
    try {
      this.stopIfLeft();
      return this.explained(() => fn(shown), 'failed');
    } finally {
      this.token = undefined;
    }
  }

  /** SQLite only says that a read failed; the reader knows why. */
  private explained<T>(fn: () => T, otherwise: string): T {
    const system = this.system!;
    system.failure = undefined;
    try {
      return fn();
    } catch (error) {
      if (system.failure !== undefined) throw system.failure;
      throw error instanceof StoreError ? error : new StoreError(otherwise, (error as Error).message);
    }
  }

  private stopIfLeft(): void {
    if (this.token !== undefined && !this.world.awaited(this.token)) throw new StoreError('aborted', 'nobody waits for the answer any more');
  }

  /** For statements that compute for long and read nothing. */
  private isLeft(): boolean {
    if (this.token === undefined || this.world.now() - this.looked < LOOK_AGAIN) return false;
    this.looked = this.world.now();
    return !this.world.awaited(this.token);
  }
}

function checkPosition(db: Db, image: Image): void {
  const [project, version] = db.get(POSITION) ?? [];
  if (project !== image.project) throw new StoreError('wrong_project', `the file is that of project ${String(project)}, not of ${image.project}`);
  const found = version instanceof Uint8Array && version.length === 8 ? Number(new DataView(version.buffer, version.byteOffset).getBigUint64(0)) : undefined;
  if (found !== image.version) throw new StoreError('bad_file', `the file is version ${String(found)}, announced was ${image.version}`);
}

function failed(error: unknown): { code: string; message: string; errors: StoreError['errors'] } {
  if (error instanceof StoreError) return { code: error.code, message: error.message, errors: error.errors };
  return { code: 'internal', message: String((error as Error).message ?? error), errors: [] };
}
