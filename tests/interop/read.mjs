// Reads a chain from the API of any beacon node.

/** Returns the body of an answer; `undefined` for status 404. */
export async function get(url, path) {
  const response = await fetch(url + path, { signal: AbortSignal.timeout(10_000) });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${path}: status ${response.status}`);
  return response.json();
}

/** Returns which bits of a list are set, and its length, without the delimiter. */
export function bits(hex) {
  const bytes = Buffer.from(hex.slice(2), "hex");
  const all = [...bytes].flatMap((byte) => [...Array(8).keys()].map((at) => (byte >> at) & 1));
  const length = all.lastIndexOf(1);
  return all.slice(0, length).flatMap((bit, at) => (bit ? [at] : []));
}

/** Returns the blocks up to the last slot, by slot. */
export async function blocks(url, slots) {
  const found = new Map();
  for (let slot = 1; slot <= slots; slot++) {
    const header = await get(url, `/eth/v1/beacon/headers/${slot}`);
    if (header === undefined) continue;
    const block = (await get(url, `/eth/v2/beacon/blocks/${slot}`)).data.message;
    const { parent_root: parent, proposer_index: proposer, body } = block;
    found.set(slot, { root: header.data.root, parent, proposer, body });
  }
  return found;
}
