async ([project, seconds]) => {
  const { openStore } = await import('/client/sharelite.js');
  const store = await openStore({ project });
  const late = [];
  const seen = new Map();
  store.presence.subscribe((peers) => {
    const now = Date.now();
    for (const [client, { state }] of peers) {
      if (seen.get(client) === state.at) continue;
      seen.set(client, state.at);
      late.push(now - state.at);
    }
  });
  const { version } = store.status;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const written = store.status.version - version;
  store.close();
  late.sort((a, b) => a - b);
  return { p50: late[Math.floor(late.length / 2)], p95: late[Math.floor(late.length * 0.95)], heard: late.length, people: seen.size, written };
}
