/** The feed as it comes in: whole commits, one after the other without gaps, put together from parts where they are large. */
import { WireError } from '../capture/wire.js';
import type { Commit } from '../core/types.js';
import { readCommitText, type Part } from './messages.js';

/** Characters; the server sends a reset instead of a commit above 8 MiB. */
const LARGEST = 2 ** 26;

export class Incoming {
  private parts: { version: number; of: number; data: string[]; size: number } | undefined;

  constructor(private cursor: number) {}

  /** The commits in order. Throws WireError at a gap or a repetition. */
  commits(commits: Commit[]): Commit[] {
    if (this.parts !== undefined) throw new WireError(`version ${this.parts.version} broke off after ${this.parts.data.length} parts`);
    for (const commit of commits) this.advance(commit.v);
    return commits;
  }

  /** The whole commit once its last part is there. */
  part({ version, part, of, data }: Part): Commit[] {
    const begun = this.parts ?? { version, of, data: [], size: 0 };
    if (begun.version !== version || begun.of !== of || part !== begun.data.length + 1 || version !== this.cursor + 1)
      throw new WireError(`part ${part} of ${of} of version ${version} does not follow`);
    begun.data.push(data);
    begun.size += data.length;
    if (begun.size > LARGEST) throw new WireError(`version ${version} is too large to be one commit`);
    this.parts = part === of ? undefined : begun;
    if (this.parts !== undefined) return [];
    const commit = readCommitText(begun.data.join(''));
    if (commit.v !== version) throw new WireError(`the parts of version ${version} make version ${commit.v}`);
    return this.commits([commit]);
  }

  private advance(version: number): void {
    if (version !== this.cursor + 1) throw new WireError(`version ${version} came after ${this.cursor}`);
    this.cursor = version;
  }
}
