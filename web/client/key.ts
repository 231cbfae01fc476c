/** Makes idempotency keys. `crypto.randomUUID` is not used because browsers offer it only on https and localhost. */

/**
 * A UUID whose first bits are the time (RFC 9562, version 7). The server keeps the keys of a channel in an index, where keys that
 * ascend cost less than random ones.
 */
export function newKey(now = Date.now()): string {
  const time = now.toString(16).padStart(12, "0");
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  bytes[0] = ((bytes[0] ?? 0) & 0x0f) | 0x70;
  bytes[2] = ((bytes[2] ?? 0) & 0x3f) | 0x80;
  const hex = time + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
