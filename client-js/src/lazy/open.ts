/** Opens a viewer: the engine and the announcement of the newest image at the same time, then the image. */
import type { OpenOptions, Store } from '../api.js';
import { StoreError } from '../errors.js';
import { Http } from '../sync/http.js';
import { platform as world, type Fetch, type Platform } from '../sync/platform.js';
import { Servers } from '../sync/servers.js';
import { tokenOf } from '../sync/token.js';
import type { JoinOptions, Viewer, ViewerOptions } from './api.js';
import { Calls, type Port } from './calls.js';
import type { Desk } from './asking.js';
import type { Image } from './image.js';
import { FolderSource, ServerSource, type Source } from './source.js';
import { LazyViewer } from './viewer.js';

/** What a viewer asks of the page around it; tests bring their own. */
export interface ViewerWorld {
  platform: Partial<Platform>;
  /** The way to the worker that reads. */
  port(options: ViewerOptions): Port;
  /** A token that the worker can see the end of: when the page is gone, so is what it holds. */
  sign: Desk['sign'];
  /** Whether somebody looks at the page. */
  seen(): boolean;
}

const MIB = 1_048_576;
const BUDGET = { bytes: 8 * MIB, requests: 256 };
const CACHE = 32 * MIB;
const LOOK_EVERY = 30;

/** `openViewer` on a page of one's own (tests, Node). Rejects with StoreError if it cannot be opened. */
export async function openViewerOn(options: ViewerOptions, { platform: given, port, sign, seen }: ViewerWorld): Promise<Viewer> {
  const platform = world(given);
  let viewer: LazyViewer | undefined;
  const calls = new Calls(port(options), (total) => viewer?.counted(total));
  const { wasmUrl, budget, cacheBytes = CACHE, wholeBytes = CACHE } = options;
  try {
    const starting = calls.ask<'start'>({ op: 'start', ...(wasmUrl === undefined ? {} : { wasmUrl }) });
    // Opening hears of it.
    starting.catch(() => undefined);
    const source = await sourceOf(options, platform);
    const live = (file: Uint8Array, image: Image, joining: JoinOptions): Promise<Store> => join(file, image, { ...options, ...joining }, platform);
    viewer = new LazyViewer(await source.newest(true), calls, source, { timers: platform.timers, sign }, { ...BUDGET, ...budget }, live);
    const { token, end } = sign();
    await viewer.open({ ours: source.ours, cacheBytes, wholeBytes, token }).finally(end);
  } catch (error) {
    calls.end(new StoreError('closed', 'the viewer could not be opened'));
    throw error;
  }
  lookAround(viewer, options.lookEvery ?? LOOK_EVERY, platform, seen);
  return viewer;
}

async function sourceOf({ base, url, project, token }: ViewerOptions, { fetch }: Platform): Promise<Source> {
  if (base !== undefined) return new FolderSource(new URL(base, globalThis.location?.href).href, fetch);
  if (project === undefined) throw new StoreError('invalid', 'project: which one? (Or base: the address of a published folder.)');
  const server = serverOf(url);
  const id = await new Http(new Servers(server), fetch, tokenOf(token)).project({ project });
  return new ServerSource(server, id, fetch, tokenOf(token));
}

function serverOf(url: string | undefined): string {
  const server = (url ?? globalThis.location?.origin ?? '').replace(/\/+$/, '');
  if (server === '') throw new StoreError('invalid', 'url: which server? (It may only be left out in a page.)');
  return server;
}

function lookAround(viewer: LazyViewer, seconds: number, { timers }: Platform, seen: () => boolean): void {
  if (seconds <= 0) return;
  const later = (): void => {
    viewer.stopLooking = timers.after(seconds * 1000, () => {
      if (seen()) void viewer.look();
      if (!viewer.closed) later();
    });
  };
  later();
}

/** A store for which the project's file is already here, as of `image`; the feed goes on from there. */
async function join(file: Uint8Array, image: Image, options: ViewerOptions & JoinOptions, platform: Platform): Promise<Store> {
  const { engine, token, wasmUrl } = options;
  const url = serverOf(options.url);
  const { openStoreOn } = await import('../store/open.js');
  const given: OpenOptions = {
    url, project: image.project,
    ...(engine === undefined ? {} : { engine }), ...(token === undefined ? {} : { token }), ...(wasmUrl === undefined ? {} : { wasmUrl }),
  };
  return openStoreOn(given, { ...platform, fetch: onceFrom(file, `${url}/v1/projects/${encodeURIComponent(image.project)}/db`, platform.fetch) });
}

function onceFrom(file: Uint8Array, address: string, fetch: Fetch): Fetch {
  let left: Uint8Array | undefined = file;
  return (url, init) => {
    if (left === undefined || url !== address) return fetch(url, init);
    const response = new Response(left as BodyInit);
    left = undefined;
    return Promise.resolve(response);
  };
}
