/** sql.js has no types of its own; this is the part that is used here. */
declare module 'sql.js' {
  type SqlJsValue = null | number | bigint | string | Uint8Array;

  export interface Statement {
    bind(values: readonly SqlJsValue[]): boolean;
    step(): boolean;
    get(params: null, config?: { useBigInt?: boolean }): SqlJsValue[];
    getBlob(column: number): Uint8Array;
    getColumnNames(): string[];
    reset(): boolean;
    free(): boolean;
  }

  export interface Database {
    exec(sql: string): unknown;
    prepare(sql: string): Statement;
    getRowsModified(): number;
    export(): Uint8Array;
    close(): void;
  }

  export interface SqlJs {
    Database: new (bytes?: Uint8Array) => Database;
  }

  export default function initSqlJs(options: {
    useOldExtensionFunctions: false;
    locateFile?: (file: string) => string;
  }): Promise<SqlJs>;
}
