// The console: projects with size, version and who is there; make, import, export, rename, delete.
import { importFile, isDatabase } from './import.js';

// The token stays in this variable: not in storage, not in an address.
let token = '';
let projects = [];
let contracts = [];
// What the choice of a contract says where it is not `=` and a name.
const [NONE, OWN] = ['none', 'own'];

const EVERY_MS = 2000;
const $ = (selector, root = document) => root.querySelector(selector);

class ServerError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(method, path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const bytes = body instanceof Blob;
  if (body !== undefined) headers['Content-Type'] = bytes ? 'application/octet-stream' : 'application/json';
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { method, headers, body: bytes ? body : body && JSON.stringify(body) });
  } catch {
    throw new ServerError(0, 'unreachable', 'The server does not answer.');
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

async function failure(answer) {
  try {
    const { code, message, errors } = (await answer.json()).error;
    const places = errors.filter((each) => each.message !== message).map((each) => `${each.pointer ?? ''} ${each.message}`);
    return new ServerError(answer.status, code, [message, ...places.slice(0, 8)].join('\n'));
  } catch {
    return new ServerError(answer.status, 'unknown', `The server answered with status ${answer.status}.`);
  }
}

async function refresh() {
  try {
    projects = (await (await ask('GET', 'v1/projects')).json()).projects;
    show();
    health(true, 'connected');
    complain('');
  } catch (problem) {
    health(false, problem.status === 401 ? 'token needed' : 'not connected');
    complain(problem.status === 401 ? 'This server wants a token to show its projects.' : problem.message);
    if (problem.status === 401) show((projects = []), false);
  }
}

function health(up, words) {
  const pulse = $('#pulse');
  pulse.classList.toggle('down', !up);
  if (pulse.textContent !== words) pulse.textContent = words;
}

function complain(message, root = document) {
  const fault = $('.fault', root);
  fault.textContent = message;
  fault.hidden = !message;
}

function show(_, known = true) {
  const wanted = $('#filter').value.trim().toLowerCase();
  const shown = projects.filter((project) => project.name.toLowerCase().includes(wanted));
  $('#empty').hidden = !known || projects.length > 0;
  $('#table').hidden = projects.length === 0;
  $('#filter').hidden = projects.length < 8;
  $('#summary').textContent = known ? summary() : '';
  shown.sort((a, b) => a.name.localeCompare(b.name));
  const rows = $('#rows');
  const old = new Map([...rows.children].map((row) => [row.dataset.id, row]));
  rows.replaceChildren(...shown.map((project) => filled(old.get(project.id) ?? made(project.id), project)));
}

function summary() {
  const people = projects.reduce((sum, project) => sum + project.connections, 0);
  const size = projects.reduce((sum, project) => sum + (project.size ?? 0), 0);
  if (projects.length === 0) return '';
  return `${projects.length} ${projects.length === 1 ? 'project' : 'projects'}, ${bytes(size)}, ${people} online`;
}

function made(id) {
  const row = $('#row').content.firstElementChild.cloneNode(true);
  row.dataset.id = id;
  const find = () => projects.find((project) => project.id === id);
  $('.download', row).onclick = (event) => download(`v1/projects/${id}/db`, (version) => `${find().name}-${version}.db`, event.currentTarget);
  $('.export', row).onchange = (event) => exportAs(find(), event.currentTarget);
  $('.rename', row).onclick = () => rename(find());
  $('.delete', row).onclick = () => remove(find());
  return row;
}

function filled(row, project) {
  put($('b', row), project.name);
  const about = $('small', row);
  put(about, project.problem ?? [project.contract ?? 'own contract', project.public ? 'public' : '', `by ${project.by}`].filter(Boolean).join(' · '));
  about.classList.toggle('fault-text', Boolean(project.problem));
  about.title = project.id;
  put($('.version', row), project.version?.toLocaleString() ?? '–');
  put($('.size', row), project.size === null ? '–' : bytes(project.size));
  people($('.people', row), project);
  $('.open', row).href = `demo/?project=${project.id}`;
  $('.open', row).hidden = project.contract !== 'annotation';
  const owner = project.role === 'owner';
  $('.rename', row).hidden = $('.delete', row).hidden = !owner;
  return row;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function people(place, project) {
  const key = `${project.connections}:${project.users.join()}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const heads = project.users.slice(0, 4).map((user) => {
    const head = document.createElement('i');
    head.textContent = [...user][0].toUpperCase();
    head.title = user;
    head.style.background = `hsl(${hue(user)} 55% 42%)`;
    return head;
  });
  const count = document.createElement('span');
  count.textContent = project.connections ? String(project.connections) : 'nobody';
  place.replaceChildren(...heads, count);
}

function hue(text) {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}

function bytes(count) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = count < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

async function download(path, nameOf, button) {
  button.disabled = true;
  try {
    const answer = await ask('GET', path);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await answer.blob());
    link.download = nameOf(answer.headers.get('Sharelite-Version'), answer.headers.get('Content-Type'));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (problem) {
    complain(problem.message);
  } finally {
    button.disabled = false;
  }
}

async function exportAs(project, choice) {
  const form = choice.value;
  choice.value = '';
  const ending = (type) => (form === 'csv' && type.includes('zip') ? 'csv.zip' : form);
  await download(`v1/projects/${project.id}/export?format=${form}`, (version, type) => `${project.name}-${version}.${ending(type)}`, choice);
}

/** One line for each file on its way: how far it is, what became of it. */
async function bring(file) {
  const line = $('#import').content.firstElementChild.cloneNode(true);
  const stop = new AbortController();
  put($('b', line), file.name);
  $('#imports').prepend(line);
  $('button', line).onclick = () => (stop.abort(), line.remove());
  const tell = ({ phase, done, of }) => {
    put($('small', line), phase);
    if (of > 0) $('progress', line).value = done / of;
    else $('progress', line).removeAttribute('value');
  };
  try {
    if (!(await isDatabase(file))) throw new Error('This is no SQLite file. Tables of a project are filled with `sharelite import FILE --into PROJECT`.');
    const found = await importFile(file, file.name.replace(/\.[^.]+$/, '') || file.name, ask, tell, stop.signal);
    told(line, found);
    await refresh();
  } catch (problem) {
    if (stop.signal.aborted) return;
    line.classList.add('failed');
    put($('small', line), problem.message);
  }
  $('progress', line).remove();
  put($('button', line), 'Close');
}

function told(line, { report }) {
  const rows = Object.values(report.rows).reduce((sum, count) => sum + count, 0);
  const tables = Object.keys(report.rows).length;
  put($('small', line), `${tables.toLocaleString()} ${tables === 1 ? 'table' : 'tables'}, ${rows.toLocaleString()} ${rows === 1 ? 'row' : 'rows'}`);
  const left = $('details', line);
  left.hidden = report.left.length === 0;
  put($('summary', left), `${report.left.length.toLocaleString()} not as in the file`);
  $('ul', left).replaceChildren(...report.left.map(({ kind, name, reason }) => {
    const item = document.createElement('li');
    item.textContent = `${kind} ${name}: ${reason}`;
    return item;
  }));
}

/** Files may be dropped anywhere on the page. */
function dropping() {
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  const zone = document.documentElement;
  let inside = 0;
  addEventListener('dragenter', (event) => files(event) && (event.preventDefault(), inside++, zone.classList.add('dropping')));
  addEventListener('dragover', (event) => files(event) && event.preventDefault());
  addEventListener('dragleave', (event) => files(event) && --inside === 0 && zone.classList.remove('dropping'));
  addEventListener('drop', (event) => {
    if (!files(event)) return;
    event.preventDefault();
    inside = 0;
    zone.classList.remove('dropping');
    for (const file of event.dataTransfer.files) void bring(file);
  });
}

/** Shows a dialog; `act` gets its form when it is sent, and what it throws is shown in the dialog, which stays. */
function dialog(selector, act) {
  const box = $(selector);
  const form = $('form', box);
  complain('', form);
  form.onsubmit = async (event) => {
    if (event.submitter?.value !== 'ok') return;
    event.preventDefault();
    const button = event.submitter;
    button.disabled = true;
    try {
      await act(form.elements);
      box.close();
      await refresh();
    } catch (problem) {
      complain(problem.message, form);
    } finally {
      button.disabled = false;
    }
  };
  box.showModal();
  return form.elements;
}

async function create() {
  try {
    contracts = (await (await ask('GET', 'v1/contracts')).json()).contracts;
  } catch (problem) {
    complain(problem.message);
    return;
  }
  const fields = dialog('#new-dialog', async ({ name, contract, document: own, public: open }) => {
    const wanted = { name: name.value.trim(), public: open.checked };
    if (contract.value === OWN) wanted.contract = parsed(own.value);
    else if (contract.value !== NONE) wanted.contract = contract.value.slice(1);
    await ask('POST', 'v1/projects', wanted);
    name.value = own.value = '';
  });
  const options = contracts.map(({ name, version }) => new Option(`${name}, version ${version}`, `=${name}`));
  fields.contract.replaceChildren(...options, new Option('none: its tables are made by SQL', NONE), new Option('a document of its own …', OWN));
  const choose = () => ($('#new-dialog .own').hidden = fields.contract.value !== OWN);
  fields.contract.onchange = choose;
  choose();
  fields.name.focus();
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (problem) {
    throw new Error(`The contract document is not JSON: ${problem.message}`);
  }
}

function rename(project) {
  const fields = dialog('#rename-dialog', ({ name }) => ask('PATCH', `v1/projects/${project.id}`, { name: name.value.trim() }));
  fields.name.value = project.name;
  fields.name.select();
}

function remove(project) {
  const fields = dialog('#delete-dialog', () => ask('DELETE', `v1/projects/${project.id}`));
  const sure = $('#delete-dialog [value=ok]');
  $('#delete-dialog q').textContent = project.name;
  fields.name.value = '';
  sure.disabled = true;
  fields.name.oninput = () => (sure.disabled = fields.name.value !== project.name);
}

function signIn() {
  const fields = dialog('#token-dialog', async ({ token: given }) => {
    const before = token;
    token = given.value.trim();
    try {
      await ask('GET', 'v1/projects');
    } catch (problem) {
      token = before;
      throw problem;
    }
    given.value = '';
    $('#sign-in').textContent = token ? 'Change token' : 'Use a token';
  });
  fields.token.focus();
}

$('#new').onclick = $('[data-new]').onclick = create;
$('#import-file').onclick = () => $('#file').click();
$('#file').onchange = ({ target }) => {
  for (const file of target.files) void bring(file);
  target.value = '';
};
dropping();
$('#sign-in').onclick = signIn;
$('#filter').oninput = () => show();
await refresh();
setInterval(() => document.visibilityState === 'visible' && refresh(), EVERY_MS);
