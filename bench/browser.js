async ([project, engine]) => {
  const { openStore } = await import('/client/sharelite.js');

  /** Resolves when `awaited` callbacks have come since the last `expect`. */
  let left = 0, done = () => {};
  const called = () => { if (--left === 0) done(); };
  const expect = (awaited) => { left = awaited; return new Promise((resolve) => { done = resolve; }); };

  const opening = performance.now();
  const store = await openStore({ project, engine });
  const open = performance.now() - opening;

  /** Milliseconds from each of `times` edits to the last callback that it concerns, queue emptied in between. */
  async function timed(times, awaited, path) {
    const measured = [];
    for (let n = 0; n < times + 20; n++) {
      const served = expect(awaited);
      const start = performance.now();
      const sent = store.set(path, n + 0.25);
      await served;
      if (n >= 20) measured.push(performance.now() - start);
      await sent.confirmed;
    }
    return measured;
  }

  const stops = Array.from({ length: 300 }, () => store.subscribe('node/n7/x', called));
  const edit = await timed(200, 300, 'node/n7/x');
  stops.forEach((stop) => stop());

  /** 300 rows, 150 lists, 40 counts, 10 joins: a change of x concerns one row and the joins, which all show n7. */
  const first = [];
  const query = (sql, params, callback) => first.push(new Promise((resolve) => {
    let known = false;
    store.subscribe({ sql, params }, () => { if (known) callback(); known = true; resolve(); });
  }));
  for (let n = 0; n < 300; n++) store.subscribe(`node/n${n}`, n === 7 ? called : () => {});
  for (let n = 0; n < 150; n++) query('SELECT id, name FROM node WHERE parent = ? ORDER BY name', [`n${n}`], () => {});
  for (let n = 0; n < 40; n++) query('SELECT count(*) AS n FROM node WHERE parent > ?', [`n${n}`], () => {});
  for (let n = 0; n < 10; n++) {
    query(`SELECT c.id, c.x, p.name FROM node c JOIN node p ON p.id = c.parent WHERE p.id = ?`, ['n0'], called);
  }
  await Promise.all(first);
  const served = await timed(100, 11, 'node/n7/x');
  store.close();
  return { open, edit, served };
}
