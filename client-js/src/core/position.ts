/**
 * The row of `_sharelite` that says which version a file is.
 *
 * A client moves the version on with each commit. It cannot know the server's seq and digests, so those stay what they
 * were when the file was loaded: in an exported file they belong to an earlier version than `version`.
 */
import type { Db } from '../engine/types.js';
import type { Commit } from './types.js';

const READ = 'SELECT epoch, version FROM main."_sharelite" WHERE id=1';
const MOVE = 'UPDATE main."_sharelite" SET version=? WHERE id=1';
const ADOPT = 'UPDATE main."_sharelite" SET contract_hash=?, contract=? WHERE id=2';

export interface Position {
  epoch: string;
  version: number;
}

export function readPosition(db: Db): Position {
  const [epoch, version] = db.get(READ) ?? [];
  if (!(version instanceof Uint8Array) || version.length !== 8) throw new Error('this database is not the file of a project');
  return { epoch: String(epoch), version: Number(new DataView(version.buffer, version.byteOffset).getBigUint64(0)) };
}

export function writeVersion(db: Db, version: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(version));
  db.run(MOVE, [bytes]);
}

export function writeContract(db: Db, commit: Commit): void {
  if (commit.contract === undefined) return;
  db.run(ADOPT, [commit.contract_hash ?? null, JSON.stringify(commit.contract)]);
}
