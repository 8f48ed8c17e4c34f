/** A contract with one of each, and random edits of what it holds: valid ones, clashing ones and wrong ones. */
import type { Tree, Tx } from '../../src/api.js';
import type { Random } from './random.js';

const font = { type: 'object', properties: { size: { type: 'integer', minimum: 1, maximum: 72, default: 12 }, bold: { type: 'boolean', default: false } } };
const id = { type: 'string', minLength: 1, maxLength: 8 };

export const NOTES = {
  type: 'object',
  properties: {
    board: { type: 'object', properties: { title: { type: 'string', default: 'Board' }, count: { type: 'integer', default: 0 } } },
    note: {
      type: 'array',
      'x-sql': { tree: 'parent' },
      items: {
        type: 'object',
        required: ['id'],
        properties: {
          id,
          x: { type: 'number', default: 0, minimum: -100, maximum: 100 },
          title: { type: 'string', default: '', maxLength: 20 },
          code: { type: 'integer', 'x-sql': { unique: true } },
          parent: { type: 'string', 'x-sql': { references: 'note', onDelete: 'set null' } },
          style: { type: 'object', properties: { color: { type: 'string', default: 'black' }, font } },
          tags: { type: 'array', items: { type: 'string' } },
          any: { type: ['string', 'number', 'integer', 'null'] },
          icon: { type: 'string', contentEncoding: 'base64' },
          points: {
            type: 'array',
            maxItems: 6,
            items: {
              type: 'object',
              required: ['id'],
              properties: { id, x: { type: 'number', default: 0 }, marks: { type: 'array', items: { type: 'object', properties: { text: { type: 'string' } } } } },
            },
          },
        },
      },
    },
    link: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'from'],
        properties: {
          id: { type: 'integer' },
          from: { type: 'string', 'x-sql': { references: 'note', onDelete: 'cascade' } },
          weight: { type: 'number', default: 1 },
        },
      },
    },
  },
};

const NAMES = ['a', 'b', 'c/d', 'é'];
const POINTS = ['p', 'q'];
const ANY: Tree[] = [null, 3, 3.5, '3', 'text', 2 ** 40, 9007199254740993n];
const SQL = [
  'UPDATE note SET x = x + 1 WHERE x < 50',
  `UPDATE note SET "style.font.size" = coalesce("style.font.size", 12) + 1 WHERE "style.font.size" < 60`,
  'DELETE FROM "note.points" WHERE x > 60',
  'UPDATE note SET code = NULL WHERE code > 4',
  'DELETE FROM link WHERE weight > 1.5',
];

type Edit = (t: Tx, random: Random) => void;

const EDITS: readonly Edit[] = [
  (t, random) => t.set(`${note(random)}/x`, random.below(103)),
  (t, random) => t.set(`${note(random)}/x`, random.below(100) + 0.5),
  (t, random) => t.set(`${note(random)}/title`, random.pick(['', 'a title', 'é🌍', 'much too long for a title'])),
  (t, random) => t.set(`${note(random)}/style/font/size`, random.below(74)),
  (t, random) => t.set(`${note(random)}/style`, { color: random.pick(['red', 'black']), font: { bold: random.chance(0.5) } }),
  (t, random) => t.set(`${note(random)}/code`, random.chance(0.3) ? null : random.below(6)),
  (t, random) => t.set(`${note(random)}/any`, random.pick(ANY)),
  (t, random) => t.set(`${note(random)}/icon`, new Uint8Array([random.below(256), 0])),
  (t, random) => t.set(`${note(random)}/tags`, ['x', random.pick(NAMES)].slice(random.below(2))),
  (t, random) => t.set(`${note(random)}/parent`, random.chance(0.3) ? null : random.pick(NAMES)),
  (t, random) => void t.insert('note', { id: random.pick(NAMES), x: random.below(100), points: [{ id: 'p', x: 1, marks: [{ text: 'm' }] }] }),
  (t, random) => void t.insert('note', { id: random.pick(NAMES), code: random.below(6) }),
  (t, random) => (random.chance(0.4) ? t.delete(note(random)) : t.set(`${note(random)}/any`, 1)),
  (t, random) => void t.insert(`${note(random)}/points`, { id: random.pick(POINTS), x: random.below(99) }),
  (t, random) => t.set(`${note(random)}/points/${random.pick(POINTS)}/x`, random.below(99)),
  (t, random) => t.set(`${note(random)}/points`, POINTS.slice(random.below(2)).map((point) => ({ id: point, x: random.below(9) }))),
  (t, random) => t.delete(`${note(random)}/points/${random.pick(POINTS)}`),
  (t, random) => void t.insert(`${note(random)}/points/${random.pick(POINTS)}/marks`, { text: random.pick(NAMES) }),
  (t, random) => void t.insert('link', { id: random.below(5), from: random.pick(NAMES), weight: random.below(3) }),
  (t, random) => t.set(`link/${random.below(5)}/from`, random.pick(NAMES)),
  (t, random) => t.set('board/title', random.pick(['Board', 'Plan', ''])),
  (t, random) => t.set('board', { count: random.below(9) }),
  (t, random) => t.sql(random.pick(SQL)),
];

/** Mostly one of them, at times several, as one mutation. */
export function edit(t: Tx, random: Random): void {
  do random.pick(EDITS)(t, random);
  while (random.chance(0.2));
}

/** Something to begin with. */
export function fill(t: Tx): void {
  for (const name of NAMES) t.insert('note', { id: name, points: POINTS.map((point) => ({ id: point })) });
  for (let i = 0; i < 5; i++) t.insert('link', { id: i, from: NAMES[i % NAMES.length]! });
}

function note(random: Random): string {
  return `note/${encodeURIComponent(random.pick(NAMES))}`;
}
