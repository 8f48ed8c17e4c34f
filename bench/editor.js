async ([project, engine, points, sizes]) => {
  const { openStoreOn } = await import('/client/sharelite.js');
  const quantiles = (samples) => {
    const sorted = samples.toSorted((a, b) => a - b);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
    return { p50: at(0.5), p99: at(0.99), p95: at(0.95) };
  };

  /** A socket that counts and can hold what goes out, and what comes in. */
  const wire = { pushes: 0, messages: 0, holding: false, out: [], in: [] };
  const socketOf = (watched) => (url) => {
    const socket = new WebSocket(url);
    const send = socket.send.bind(socket);
    if (!watched) return socket;
    socket.send = (text) => {
      wire.messages++;
      if (text.startsWith('{"type":"push"')) wire.pushes++;
      if (wire.holding) wire.out.push(() => send(text)); else send(text);
    };
    Object.defineProperty(socket, 'onmessage', { set: (fn) => socket.addEventListener('message', ({ data }) => {
      if (wire.holding && data.startsWith('{"type":"commits"')) wire.in.push(data); else fn({ data });
      wire.deliver = fn;
    }) });
    return socket;
  };
  const store = await openStoreOn({ url: location.origin, project, engine }, { socket: socketOf(true) });
  const online = (one) => new Promise((resolve) => { const off = one.on('status', ({ connection }) => { if (connection === 'online') { off(); resolve(); } }); if (one.status.connection === 'online') resolve(); });
  await online(store);

  // Three panels of all properties of one annotation, a list, and a view that keeps 25,000 points in a buffer of its own.
  const fields = Object.keys(store.contract.document.properties.item.items.properties).filter((name) => name.startsWith('p'));
  let shown = 0;
  for (let panel = 0; panel < 3; panel++) for (const field of fields) store.subscribe(`item/k7/${field}`, () => shown++);
  store.subscribe('item/k7', () => shown++);
  const buffer = new Float32Array(points * 3);
  store.subscribe({ rows: 'item' }, (_, { paths }) => {
    for (const path of paths) { const n = +path.slice(6); buffer[n * 3] = store.peek(`${path}/${fields[0]}`) ?? 0; }
  });

  /** 120 updates a second for 2.5 s: what each takes of the main thread, observers and buffer included. */
  const draft = store.draft('item/k7');
  draft.set(`item/k7/${fields[0]}`, 0.5);
  draft.cancel();
  const before = { version: store.status.version, ...wire };
  const drag = store.draft('item/k7');
  const slider = [];
  for (let n = 1; n <= 300; n++) {
    await new Promise((resolve) => setTimeout(resolve, 1000 / 120));
    const start = performance.now();
    drag.set(`item/k7/${fields[0]}`, n + Math.random());
    slider.push(performance.now() - start);
  }
  const silent = wire.messages - before.messages;
  const outcome = await drag.save().confirmed;
  const commits = store.status.version - before.version;
  const [commit] = (await (await fetch(`/v1/projects/${project}/commits?after=${outcome.version - 1}&limit=1`)).json()).commits;
  const properties = commit.changes.reduce((sum, change) => sum + Object.keys(change[3]).length, 0);

  /** 50 pending over 100 commits of somebody else, in one message. */
  const other = await openStoreOn({ url: location.origin, project, engine });
  await online(other);
  const rebase = [];
  for (let round = 0; round < 12; round++) {
    wire.holding = true;
    const mine = Array.from({ length: 50 }, (_, n) => store.set(`item/k${100 + n}/${fields[1]}`, round + n / 100 + 1));
    const theirs = Array.from({ length: 100 }, (_, n) => other.set(`item/k${300 + n}/${fields[2]}`, round + n / 1000 + 1));
    const { version } = (await Promise.all(theirs.map((sent) => sent.confirmed))).at(-1);
    while (wire.in.map((text) => JSON.parse(text).commits).flat().at(-1)?.v !== version) await new Promise((resolve) => setTimeout(resolve, 5));
    const commits = wire.in.splice(0).flatMap((text) => JSON.parse(text).commits);
    const text = JSON.stringify({ type: 'commits', commits });
    const start = performance.now();
    wire.deliver({ data: text });
    if (round >= 2) rebase.push(performance.now() - start);
    wire.holding = false;
    wire.out.splice(0).forEach((send) => send());
    await Promise.all(mine.map((sent) => sent.confirmed));
  }
  other.close();

  /** Typing into one text of a form: each letter is a mutation, and done when all three panels have it. */
  const forms = {};
  for (const size of sizes) {
    const id = `f${Date.now()}`;
    const path = `form${size}/${id}`;
    await store.tx((t) => t.insert(`form${size}`, { id })).confirmed;
    let panels = 0;
    const leave = [0, 1, 2].flatMap(() => Array.from({ length: size }, (_, n) => store.subscribe(`${path}/t${n}`, () => panels++)));
    const letters = [];
    for (let typed = 1; typed <= 200; typed++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      panels = 0;
      const start = performance.now();
      store.set(`${path}/t7`, 'x'.repeat(typed), { tag: 'typing' });
      letters.push(performance.now() - start);
      if (panels !== 3) throw new Error(`${panels} panels have heard of the letter, not 3`);
    }
    forms[size] = quantiles(letters);
    leave.forEach((one) => one());
  }
  store.close();
  return { slider: quantiles(slider), silent, commits, properties, rebase: quantiles(rebase), forms, shown };
}
