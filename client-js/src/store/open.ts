/** Opens a store: engine and file at the same time, then the link; and loads the file again when rows are not to be trusted. */
import type { OpenOptions, Status, Store } from '../api.js';
import type { Engine } from '../engine/types.js';
import { StoreError, report } from '../errors.js';
import { Backoff } from '../sync/backoff.js';
import { Http } from '../sync/http.js';
import { Link, type Hooks } from '../sync/link.js';
import { Outbox } from '../sync/outbox.js';
import { platform as world, type Platform } from '../sync/platform.js';
import { Servers } from '../sync/servers.js';
import { tokenOf } from '../sync/token.js';
import { Loaded } from './loaded.js';
import { LiveStore } from './store.js';

/** A store on a world of one's own: other sockets, other clocks. */
export async function openStoreOn(options: OpenOptions, given: Partial<Platform> = {}): Promise<Store> {
  const platform = world(given);
  const servers = new Servers(options.url);
  const token = tokenOf(options.token);
  const http = new Http(servers, platform.fetch, token);
  const starting = startEngine(options);
  // It must not be unhandled while the file is fetched; whoever awaits it hears of it.
  starting.catch(() => undefined);
  const project = await http.project(options);
  const bytes = await http.file(project);
  const engine = await starting;
  const outbox = new Outbox(platform.randomHex(32));
  const store = new LiveStore(Loaded.load(engine, bytes, project), engine.name, outbox, platform);
  const reload = new Reload(store, engine, http, project, platform);
  const place = { servers, project, renewable: typeof options.token === 'function' };
  store.link = new Link(platform, place, token, http, outbox, hooks(store, reload));
  store.link.start();
  return store;
}

async function startEngine({ engine, wasmUrl }: OpenOptions): Promise<Engine> {
  const options = wasmUrl === undefined ? {} : { wasmUrl };
  if (engine === 'sqljs') return (await import('../engine/sqljs.js')).sqljs(options);
  return (await import('../engine/sqlite-wasm.js')).sqliteWasm(options);
}

function hooks(store: LiveStore, reload: Reload): Hooks {
  return {
    position: () => store.position(),
    welcome: (welcome) => store.welcome(welcome),
    commits: (commits) => {
      store.commits(commits);
      reload.trusted();
    },
    answered: (outcome) => store.answered(outcome),
    presence: (peers, users) => store.presence.received(peers, users),
    signal: (topic, data, from) => store.signalled(topic, data, from),
    state: (connection, problem) => store.state(connection, problem),
    forgotten: () => store.forgotten(),
    distrust: (reason) => void reload.run(reason),
  };
}

/** Loading the project again under a living store. The queue and the drafts stay; what was shown stays until then. */
class Reload {
  private readonly backoff: Backoff;
  private tried = false;

  constructor(
    private readonly store: LiveStore,
    private readonly engine: Engine,
    private readonly http: Http,
    private readonly project: string,
    private readonly platform: Platform,
  ) {
    this.backoff = new Backoff(() => platform.timers.random());
  }

  /** The server's word fits again. */
  trusted(): void {
    this.tried = false;
    this.backoff.reset();
  }

  /** At once the first time; a server that is distrusted again and again is asked less and less often. */
  async run(reason: Error): Promise<void> {
    let problem = problemOf(reason, 'reset');
    for (;;) {
      this.store.state('connecting', problem);
      if (this.tried) await this.pause();
      this.tried = true;
      if (this.store.closed) return;
      try {
        this.store.replace(await this.load());
        // Whoever was told the difference may have closed it.
        if (!this.store.closed) this.store.link.start();
        return;
      } catch (error) {
        if (this.store.closed) return;
        if (!(error instanceof StoreError)) report(error);
        problem = problemOf(error as Error, 'internal');
        if (FINAL.has(problem.code)) return this.store.state('offline', problem);
      }
    }
  }

  private async load(): Promise<Loaded> {
    const fresh = Loaded.load(this.engine, await this.http.file(this.project), this.project);
    if (!this.store.closed) return fresh;
    fresh.core.close();
    throw new StoreError('closed', 'the store was closed meanwhile');
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => this.platform.timers.after(this.backoff.next(), resolve));
  }
}

const FINAL = new Set(['unauthenticated', 'forbidden', 'not_found']);

function problemOf(error: Error, otherwise: string): NonNullable<Status['problem']> {
  return { code: error instanceof StoreError ? error.code : otherwise, message: error.message };
}
