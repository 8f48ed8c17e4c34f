/** GeoJSON (RFC 7946) as rows of the scene: points become places, lines routes, polygons areas. */
import type { Tree } from 'sharelite';
import { wordsCell } from '../app/words';

export interface Placed { list: 'annotation' | 'route' | 'area'; value: { [property: string]: Tree } }
export interface Reading { rows: Placed[]; skipped: number }

type Position = [lon: number, lat: number];
interface Named { name: string; note?: string; population?: number; country?: string }

/** Throws where the text is no GeoJSON; a geometry that has no place on the globe is counted. */
export function read(text: string, fileName: string, newId: () => string): Reading {
  const document = JSON.parse(text) as unknown;
  const features = featuresOf(document);
  if (features === undefined) throw new Error(wordsCell.get().files.notGeoJson(fileName));
  const reading: Reading = { rows: [], skipped: 0 };
  for (const feature of features) {
    const { properties, geometry } = fields(feature);
    const before = reading.rows.length;
    place(reading, fields(geometry), named(fields(properties), fileName), newId);
    if (reading.rows.length === before) reading.skipped++;
  }
  return reading;
}

function featuresOf(document: unknown): unknown[] | undefined {
  const { type, features, coordinates, geometries } = fields(document);
  if (type === 'FeatureCollection') return Array.isArray(features) ? features : undefined;
  if (type === 'Feature') return [document];
  return Array.isArray(coordinates) || Array.isArray(geometries) ? [{ properties: {}, geometry: document }] : undefined;
}

function place(reading: Reading, { type, coordinates, geometries }: Record<string, unknown>, about: Named, newId: () => string): void {
  const all = Array.isArray(coordinates) ? coordinates : [];
  const each = (kind: string): void => { for (const part of all) place(reading, { type: kind, coordinates: part }, about, newId); };
  if (type === 'Point') point(reading, all, about, newId);
  else if (type === 'LineString') path(reading, 'route', all, 2, about, newId);
  else if (type === 'Polygon') path(reading, 'area', opened(Array.isArray(all[0]) ? all[0] : []), 3, about, newId);
  else if (type === 'MultiPoint') each('Point');
  else if (type === 'MultiLineString') each('LineString');
  else if (type === 'MultiPolygon') each('Polygon');
  else if (Array.isArray(geometries)) for (const part of geometries) place(reading, fields(part), about, newId);
}

function point(reading: Reading, coordinates: unknown[], { name, ...about }: Named, newId: () => string): void {
  const at = position(coordinates);
  if (at !== undefined) reading.rows.push({ list: 'annotation', value: { id: newId(), name, ...about, position: { lon: at[0], lat: at[1] } } });
}

function path(reading: Reading, list: 'route' | 'area', coordinates: unknown[], fewest: number, about: Named, newId: () => string): void {
  const points = coordinates.map(position).filter((at) => at !== undefined);
  if (points.length < fewest || points.length < coordinates.length || points.length > MOST_POINTS) return;
  const value = { id: newId(), title: about.name };
  if (list === 'route') reading.rows.push({ list, value: { ...value, points: points.map(([lon, lat]) => ({ id: newId(), lon, lat })) } });
  else reading.rows.push({ list, value: { ...value, corners: points.map(([lon, lat]) => ({ lon, lat })) } });
}

const MOST_POINTS = 10_000;

/** A ring says its first position again at its end. */
function opened(ring: unknown[]): unknown[] {
  return JSON.stringify(ring[0]) === JSON.stringify(ring.at(-1)) ? ring.slice(0, -1) : ring;
}

function position(coordinates: unknown): Position | undefined {
  const [lon, lat] = Array.isArray(coordinates) ? (coordinates as unknown[]) : [];
  if (typeof lon !== 'number' || typeof lat !== 'number') return undefined;
  return Math.abs(lon) <= 180 && Math.abs(lat) <= 90 ? [lon, lat] : undefined;
}

function named(properties: Record<string, unknown>, fileName: string): Named {
  const lower = Object.fromEntries(Object.entries(properties).map(([name, value]) => [name.toLowerCase(), value]));
  const { population, country } = lower;
  const about: Named = { name: text(lower.name ?? lower.title ?? lower.id, 200) || fileName.slice(0, 200) };
  const note = text(lower.note ?? lower.description, 4000);
  if (note) about.note = note;
  if (typeof population === 'number' && Number.isSafeInteger(population) && population >= 0) about.population = population;
  if (typeof country === 'string' && country.length <= 2) about.country = country;
  return about;
}

function text(value: unknown, most: number): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value).trim().slice(0, most) : '';
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
