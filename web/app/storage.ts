/** Owns the browser's stores; where a page may not have them, as in a frame whose storage is denied, memory stands in until it goes. */

export const local = orMemory(() => window.localStorage);
export const session = orMemory(() => window.sessionStorage);

function orMemory(find: () => Storage): Storage {
  try {
    return find();
  } catch {
    return memory();
  }
}

function memory(): Storage {
  const items = new Map<string, string>();
  return {
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
    clear: () => items.clear(),
  };
}
