/** Prepared statements by their text: the newest few hundred stay, the rest are let go. */
export class StatementCache<S> {
  private readonly statements = new Map<string, S>();

  constructor(
    private readonly prepare: (sql: string) => S,
    private readonly free: (statement: S) => void,
    private readonly limit = 400,
  ) {}

  get(sql: string): S {
    const found = this.statements.get(sql);
    if (found !== undefined) return found;
    const statement = this.prepare(sql);
    this.statements.set(sql, statement);
    if (this.statements.size > this.limit) this.dropOldest();
    return statement;
  }

  clear(): void {
    for (const statement of this.statements.values()) this.free(statement);
    this.statements.clear();
  }

  private dropOldest(): void {
    for (const [sql, statement] of this.statements) {
      this.statements.delete(sql);
      this.free(statement);
      return;
    }
  }
}
