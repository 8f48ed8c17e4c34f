/** Casts around a statement's parameters, for an engine that cannot bind every kind of number. */

export type Cast = 'INTEGER' | 'REAL' | undefined;

const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\?(\d*)/g;

/**
 * The statement with `?` replaced by a cast where one is wanted. The unary plus takes the affinity away again, which
 * a bare parameter has not either. `?1` is left numbered; named parameters are not used here.
 */
export function withCasts(sql: string, casts: readonly Cast[]): string {
  let last = 0;
  return sql.replace(TOKEN, (token: string, digits: string | undefined) => {
    if (digits === undefined) return token;
    last = digits === '' ? last + 1 : Number(digits);
    const cast = casts[last - 1];
    return cast === undefined ? token : `(+CAST(?${last} AS ${cast}))`;
  });
}
