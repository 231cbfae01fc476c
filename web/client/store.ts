/** One immutable snapshot, and subscribers that are told when it was replaced. */

export class Store<T> {
  #value: T;
  #dirty = false;
  readonly #listeners = new Set<() => void>();
  readonly #schedule: (run: () => void) => void;

  /** `schedule` decides when subscribers are notified; changes made before it runs cause one notification. */
  constructor(value: T, schedule: (run: () => void) => void = (run) => queueMicrotask(run)) {
    this.#value = value;
    this.#schedule = schedule;
  }

  readonly get = (): T => this.#value;

  /** Returns the function that ends the subscription, as React's `useSyncExternalStore` expects. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  /** `change` returns the changed fields. `get` sees them at once, subscribers when `schedule` runs. */
  update(change: (value: T) => Partial<T>): void {
    const next = { ...this.#value, ...change(this.#value) };
    this.#value = next;
    if (this.#dirty) return;
    this.#dirty = true;
    this.#schedule(() => {
      this.#dirty = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}

/** A copy of `map` with one entry set. */
export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(map).set(key, value);
}

/** A copy of `map` without one entry; `map` itself when it has none. */
export function withoutEntry<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
