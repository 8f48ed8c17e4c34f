/** A project in memory: its database with the core above it, its contract, and what follows from the contract. */
import type { Tree } from '../api.js';
import { Core } from '../core/core.js';
import { readContract } from '../contract/read.js';
import type { Contract } from '../contract/model.js';
import type { Db, Engine } from '../engine/types.js';
import { StoreError } from '../errors.js';
import { readPlace } from '../paths/read.js';
import { Paths, type Place } from '../paths/place.js';
import { EditRules } from '../validate/edit.js';

const POSITION = 'SELECT project FROM main."_sharelite" WHERE id=1';
const CONTRACT = 'SELECT contract_hash, contract FROM main."_sharelite" WHERE id=2';

export class Loaded {
  readonly core: Core;
  contract!: Contract;
  paths!: Paths;
  rules!: EditRules;

  private constructor(
    readonly db: Db,
    readonly project: string,
  ) {
    this.readContract();
    this.core = new Core(db);
  }

  /** Throws StoreError if the bytes are not the database of this project. */
  static load(engine: Engine, bytes: Uint8Array, project: string): Loaded {
    let db: Db | undefined;
    try {
      db = engine.open(bytes);
      const [found] = db.get(POSITION) ?? [];
      if (found !== project) throw new StoreError('wrong_project', `the server sent the database of ${String(found)}, not of ${project}`);
      return new Loaded(db, project);
    } catch (error) {
      db?.close();
      if (error instanceof StoreError) throw error;
      throw new StoreError('bad_file', `what the server sent is not the database of a project: ${(error as Error).message}`);
    }
  }

  /** Again after each schema commit. */
  readContract(): void {
    const [hash, text] = this.db.get(CONTRACT) ?? [];
    if (typeof hash !== 'string' || typeof text !== 'string') throw new StoreError('bad_file', 'the database has no contract');
    this.contract = readContract(JSON.parse(text) as Record<string, unknown>, hash);
    this.paths = new Paths(this.contract);
    this.rules = new EditRules(this.contract);
  }

  place(path: string): Place {
    return this.paths.place(path);
  }

  read(path: string): Tree | undefined {
    return readPlace(this.db, this.place(path));
  }
}
