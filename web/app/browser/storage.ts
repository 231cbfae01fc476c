/** The browser's storage, or memory where the page may not use it, as in a third-party frame. */

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
