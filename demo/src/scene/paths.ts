/** Places in the document, as the store names them. */

export const pathTo = (...segments: string[]): string => segments.map((segment, k) => (k === 1 || k === 3 ? encodeURIComponent(segment) : segment)).join('/');

/** The key of the row that a path leads to or into; undefined: the whole table. */
export function idIn(path: string): string | undefined {
  const segment = path.split('/')[1];
  return segment === undefined ? undefined : decodeURIComponent(segment);
}

/** `annotation/a1` of `annotation/a1/icon/size`. */
export const rowOf = (path: string): string => path.split('/').slice(0, 2).join('/');
export const tableOf = (path: string): string => path.split('/')[0]!;

/** `annotation/a1` and `icon.size` as one path. */
export const property = (row: string, name: string): string => `${row}/${name.replaceAll('.', '/')}`;
