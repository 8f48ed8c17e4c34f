/** What the page and the viewer's worker say to each other. */
import type { Fault, Tree, Value } from '../api.js';
import type { Image } from '../lazy/image.js';
import type { Budget, Traffic } from '../lazy/traffic.js';

export interface Opening {
  op: 'open';
  image: Image;
  ours: boolean;
  cacheBytes: number;
  wholeBytes: number;
  /** An address that leads somewhere, to find out whether such a thing can be found out here. */
  token: string;
}

interface Question {
  budget: Budget;
  /** An address that leads nowhere as soon as nobody waits for the answer any more. */
  token?: string;
}

export type Asked =
  /** The engine is loaded while the page still asks where the image is. */
  | { op: 'start'; wasmUrl?: string }
  | Opening
  | ({ op: 'read'; path: string } & Question)
  | ({ op: 'query'; sql: string; params: Value[] } & Question)
  /** Another image; `changed`: the pages that may differ from the present one, absent where nobody knows. */
  | { op: 'move'; image: Image; changed?: number[] }
  /** Another address of the same image. */
  | { op: 'address'; url: string }
  /** The whole file. */
  | { op: 'file' };

export interface Opened {
  hash: string;
  document: Record<string, unknown>;
}

/** What each `op` is answered. */
export interface Answers {
  start: undefined;
  open: Opened;
  move: Opened;
  read: Tree | undefined;
  query: Record<string, Value>[];
  address: undefined;
  file: Uint8Array;
}

export interface Failed {
  code: string;
  message: string;
  errors: Fault[];
}

export type Told =
  /** `spent`: on this question; `total`: on everything so far. */
  | { id: number; value: Answers[keyof Answers]; spent: Traffic; total: Traffic }
  | { id: number; failed: Failed; spent: Traffic; total: Traffic }
  | { id: number; progress: number };

export interface Letter {
  id: number;
  asked: Asked;
}
