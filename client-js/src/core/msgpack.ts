/** The few kinds of msgpack that a digest is made over: arrays, text, bytes, integers and float64, each in its shortest form. */
import { type Cell, Real } from '../engine/types.js';

export class Packer {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private length = 0;
  private readonly encoder = new TextEncoder();

  /** What was packed since the last call. */
  take(): Uint8Array {
    const taken = this.bytes.subarray(0, this.length);
    this.length = 0;
    return taken;
  }

  array(length: number): this {
    return length < 16 ? this.byte(0x90 | length) : this.byte(0xdc).uint16(length);
  }

  cell(cell: Exclude<Cell, null>, isReal: boolean): this {
    if (typeof cell === 'string') return this.text(cell);
    if (cell instanceof Uint8Array) return this.head(cell.length, [0xc4, 0xc5, 0xc6]).put(cell);
    if (cell instanceof Real) return this.float(cell.value);
    return typeof cell === 'number' && isReal ? this.float(cell) : this.integer(BigInt(cell));
  }

  text(text: string): this {
    const bytes = this.encoder.encode(text);
    if (bytes.length < 32) return this.byte(0xa0 | bytes.length).put(bytes);
    return this.head(bytes.length, [0xd9, 0xda, 0xdb]).put(bytes);
  }

  private integer(value: bigint): this {
    if (value >= -32n && value < 128n) return this.byte(Number(value) & 0xff);
    if (value >= 0n) return this.positive(value);
    if (value >= -(2n ** 7n)) return this.byte(0xd0).byte(Number(value) & 0xff);
    if (value >= -(2n ** 15n)) return this.byte(0xd1).uint16(Number(value) & 0xffff);
    if (value >= -(2n ** 31n)) return this.byte(0xd2).uint32(Number(value) >>> 0);
    return this.byte(0xd3).uint64(BigInt.asUintN(64, value));
  }

  private positive(value: bigint): this {
    if (value < 2n ** 8n) return this.byte(0xcc).byte(Number(value));
    if (value < 2n ** 16n) return this.byte(0xcd).uint16(Number(value));
    if (value < 2n ** 32n) return this.byte(0xce).uint32(Number(value));
    return this.byte(0xcf).uint64(value);
  }

  private head(length: number, kinds: readonly [number, number, number]): this {
    if (length < 2 ** 8) return this.byte(kinds[0]).byte(length);
    return length < 2 ** 16 ? this.byte(kinds[1]).uint16(length) : this.byte(kinds[2]).uint32(length);
  }

  private float(value: number): this {
    this.byte(0xcb).reserve(8);
    this.view.setFloat64(this.length, value);
    this.length += 8;
    return this;
  }

  private byte(value: number): this {
    this.reserve(1);
    this.bytes[this.length++] = value;
    return this;
  }

  private uint16(value: number): this {
    return this.byte(value >>> 8).byte(value & 0xff);
  }

  private uint32(value: number): this {
    return this.uint16(value >>> 16).uint16(value & 0xffff);
  }

  private uint64(value: bigint): this {
    return this.uint32(Number(value >> 32n)).uint32(Number(value & 0xffffffffn));
  }

  private put(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array((this.length + more) * 2);
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}
