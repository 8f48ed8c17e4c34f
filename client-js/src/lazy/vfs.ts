/**
 * A file system for SQLite with one read-only file in it: the image that is read at present.
 *
 * The file says that it is immutable, so SQLite takes no locks, looks for no journal and never asks whether it changed.
 */
import type { Sqlite3 } from '../engine/sqlite-wasm.js';

export const FILE_SYSTEM = 'sharelite-image';
export const FILE_NAME = '/image';

export interface ReadFile {
  readonly size: number;
  /** Fills `into` with the bytes from `offset` on; how many there were. */
  read(offset: number, into: Uint8Array): number;
}

type Pointer = number;
type Method = (...args: never[]) => number;
/** The package's own types of these structs are not those of the structs. */
interface Struct { pointer: Pointer; dispose(): void; [member: `$${string}`]: number }
type StructOf = new (pointer?: Pointer) => Struct;
type Install = (what: { io?: unknown; vfs?: unknown }) => void;

const LONGEST_NAME = 64;
const JULIAN_DAY_1970 = 2_440_587.5;
const DAY = 86_400_000;

export class ImageFileSystem {
  /** Why the last read failed: SQLite itself only says that it did. */
  failure: unknown;
  file: ReadFile | undefined;

  /** Once for each SQLite. */
  constructor(private readonly sqlite3: Sqlite3) {
    const install = sqlite3.vfs.installVfs as unknown as Install;
    const io = this.struct('sqlite3_io_methods');
    io.$iVersion = 1;
    install({ io: { struct: io, methods: this.fileMethods() } });
    const system = this.struct('sqlite3_vfs');
    system.$iVersion = 2;
    system.$szOsFile = (sqlite3.capi as unknown as { sqlite3_file: { structInfo: { sizeof: number } } }).sqlite3_file.structInfo.sizeof;
    system.$mxPathname = LONGEST_NAME;
    system.$xRandomness = this.usual('$xRandomness');
    install({ vfs: { struct: system, name: FILE_SYSTEM, methods: this.systemMethods(io.pointer) } });
  }

  private struct(name: 'sqlite3_io_methods' | 'sqlite3_vfs' | 'sqlite3_file', pointer?: Pointer): Struct {
    const Made = this.sqlite3.capi[name] as unknown as StructOf;
    return pointer === undefined ? new Made() : new Made(pointer);
  }

  /** A method of the file system that SQLite has of its own. */
  private usual(member: `$${string}`): number {
    const system = this.struct('sqlite3_vfs', this.sqlite3.capi.sqlite3_vfs_find(null));
    const method = system[member]!;
    system.dispose();
    return method;
  }

  private systemMethods(io: Pointer): Record<string, Method> {
    const { capi, wasm } = this.sqlite3;
    return {
      xOpen: (_: Pointer, _name: Pointer, file: Pointer, flags: number, outFlags: Pointer) => {
        if ((flags & capi.SQLITE_OPEN_MAIN_DB) === 0 || this.file === undefined) return capi.SQLITE_CANTOPEN;
        const opened = this.struct('sqlite3_file', file);
        opened.$pMethods = io;
        opened.dispose();
        wasm.poke32(outFlags, flags);
        return capi.SQLITE_OK;
      },
      xAccess: (_: Pointer, _name: Pointer, _flags: number, out: Pointer) => (wasm.poke32(out, 0), capi.SQLITE_OK),
      xDelete: () => capi.SQLITE_READONLY,
      xFullPathname: (_: Pointer, name: Pointer, room: number, out: Pointer) => (wasm.cstrncpy(out, name, room) < room ? capi.SQLITE_OK : capi.SQLITE_CANTOPEN),
      xGetLastError: () => 0,
      xSleep: () => 0,
      xCurrentTime: (_: Pointer, out: Pointer) => (wasm.poke(out, JULIAN_DAY_1970 + Date.now() / DAY, 'double'), capi.SQLITE_OK),
      xCurrentTimeInt64: (_: Pointer, out: Pointer) => (wasm.poke64(out, BigInt(JULIAN_DAY_1970 * DAY + Date.now())), capi.SQLITE_OK),
    };
  }

  private fileMethods(): Record<string, Method> {
    const { capi, wasm } = this.sqlite3;
    const [fine, never] = [(): number => capi.SQLITE_OK, (): number => capi.SQLITE_READONLY];
    return {
      xClose: fine,
      xRead: (_: Pointer, to: Pointer, length: number, offset: bigint) => this.read(Number(to), length, Number(offset)),
      xWrite: never,
      xTruncate: never,
      xSync: fine,
      xFileSize: (_: Pointer, out: Pointer) => (wasm.poke64(out, BigInt(this.file?.size ?? 0)), capi.SQLITE_OK),
      xLock: fine,
      xUnlock: fine,
      xCheckReservedLock: (_: Pointer, out: Pointer) => (wasm.poke32(out, 0), capi.SQLITE_OK),
      xFileControl: () => capi.SQLITE_NOTFOUND,
      xSectorSize: () => 4096,
      xDeviceCharacteristics: () => capi.SQLITE_IOCAP_IMMUTABLE,
    };
  }

  /** No exception may cross SQLite, which is C. */
  private read(to: Pointer, length: number, offset: number): number {
    const { capi, wasm } = this.sqlite3;
    try {
      const bytes = new Uint8Array(length);
      const found = this.file!.read(offset, bytes);
      (wasm.heap8u() as Uint8Array).set(bytes, to);
      return found < length ? capi.SQLITE_IOERR_SHORT_READ : capi.SQLITE_OK;
    } catch (failure) {
      this.failure = failure;
      return capi.SQLITE_IOERR_READ;
    }
  }
}
