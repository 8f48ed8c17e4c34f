/** The globe without anything on it: what can be shown before the project is there. */
import type { Place } from '../geo';
import { Fill } from '../view/fills';
import { Ground } from '../view/ground';
import { PointCloud } from '../view/points';
import { Stage } from '../view/stage';
import { groundLook } from '../scene/looks';
import type { Theme } from '../scene/theme';
import { readBorders } from '../world/borders';
import bordersUrl from '../world/borders.bin?url';
import landUrl from '../world/land.png';

export interface Assets { land: ImageBitmap; borders: Place[][] }
export interface Globe { stage: Stage; ground: Ground }

const PLAIN: Record<string, number | boolean> = { 'grid.visible': false, 'light.azimuth': 315, 'light.elevation': 45, 'light.intensity': 1, 'light.ambient': 0.4 };

export async function loadAssets(): Promise<Assets> {
  const [land, borders] = await Promise.all([
    fetched(landUrl).then((response) => response.blob()).then((blob) => createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' })),
    fetched(bordersUrl).then((response) => response.arrayBuffer()).then(readBorders),
  ]);
  return { land, borders };
}

export function bareGlobe(host: HTMLElement, assets: Assets, theme: Theme): Globe {
  const stage = new Stage(host);
  const ground = new Ground(stage.uniforms, assets.land, assets.borders);
  ground.show(groundLook((name) => PLAIN[name], theme));
  void prepare(stage, ground);
  stage.before(() => ground.follow(stage.camera.eye.position.toArray()));
  return { stage, ground };
}

/** The programs are kept by their examples, for the layers that come later. */
async function prepare(stage: Stage, ground: Ground): Promise<void> {
  await stage.prepare(...ground.parts, new PointCloud(stage.uniforms, 1).mesh, new Fill(stage.uniforms).mesh);
  stage.add(...ground.parts);
}

async function fetched(url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} could not be loaded (${response.status})`);
  return response;
}
