/**
 * `@hubbub/client/upload`: uploads one file. Asks for an upload slot, sends the bytes to object storage, and waits for the virus
 * scan.
 */
import { Problem, systemClock } from "./index.js";
import type { Attachment, Clock, Http } from "./index.js";

/** An announced upload: where its bytes go. */
export interface UploadTicket {
  id: string;
  state: string;
  /** With `fields` the upload is a form whose file part is named `file`. */
  upload: { method: string; url: string; headers: Record<string, string>; fields?: Record<string, string> };
}

/** An upload. Only a `clean` one can be attached. */
export interface UploadState {
  id: string;
  state: "pending" | "scanning" | "clean" | "blocked" | "failed";
  /** Why it is `blocked` or `failed`. */
  reason?: string;
  name: string;
  /** Bytes. */
  size: number;
  /** The media type. */
  type: string;
  /** Pixels, of images. */
  width?: number | null;
  height?: number | null;
}

/** How to upload. */
export interface UploadOptions {
  /** Cancels the upload; the promise then rejects with the signal's reason or a `Problem`. */
  signal: AbortSignal;
  clock?: Clock;
  /** Sends the bytes to object storage. */
  fetch?: typeof fetch;
}

/** The resources of uploads in the HTTP API. Every function rejects with `Problem`. */
export function uploadApi({ request }: Http) {
  return {
    create: (body: { name: string; size: number; type: string; channel: string }) => request<UploadTicket>("/v1/uploads", { method: "POST", body }),
    complete: (id: string) => request<UploadState>(`/v1/uploads/${encodeURIComponent(id)}/complete`, { method: "POST" }),
    get: (id: string) => request<UploadState>(`/v1/uploads/${encodeURIComponent(id)}`),
  };
}

const firstPollMs = 250;
const pollMaxMs = 2_000;
/** Deadlines of the transfer and of the scan. */
const transferMs = 120_000;
const scanMs = 60_000;

/**
 * Returns the attachment for a message to `channel`.
 * Rejects with `Problem`: `BLOCKED_MEDIA` when the scan refused the file, `UNAVAILABLE` when the transfer took more than two minutes
 * or the scan more than one, otherwise the server's reason.
 */
export async function upload(http: Http, file: File, channel: string, options: UploadOptions): Promise<Attachment> {
  const api = uploadApi(http);
  const clock = options.clock ?? systemClock;
  const type = file.type === "" ? "application/octet-stream" : file.type;
  const ticket = await api.create({ name: file.name, size: file.size, type, channel });
  await transfer(ticket.upload, file, options);
  let state = await api.complete(ticket.id);
  const until = clock.now() + scanMs;
  for (let wait = firstPollMs; state.state === "pending" || state.state === "scanning"; wait = Math.min(wait * 1.5, pollMaxMs)) {
    if (clock.now() > until) throw new Problem(0, "UNAVAILABLE", "The file could not be checked in time.");
    await new Promise<void>((resolve) => clock.after(wait, resolve));
    options.signal.throwIfAborted();
    state = await api.get(ticket.id);
  }
  if (state.state !== "clean") throw new Problem(409, "BLOCKED_MEDIA", state.reason ?? "");
  return attachment(state);
}

/** Sends the bytes straight to object storage, without the caller's token. */
async function transfer(slot: UploadTicket["upload"], file: File, options: UploadOptions): Promise<void> {
  const send = options.fetch ?? globalThis.fetch.bind(globalThis);
  let body: BodyInit = file;
  if (slot.fields !== undefined) {
    body = new FormData();
    for (const [name, value] of Object.entries(slot.fields)) body.append(name, value);
    body.append("file", file);
  }
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(transferMs)]);
  const response = await send(slot.url, { method: slot.method, headers: slot.headers, body, signal, credentials: "omit" }).catch(
    (error: unknown) => {
      options.signal.throwIfAborted();
      throw new Problem(0, "UNAVAILABLE", error instanceof Error ? error.message : "");
    },
  );
  if (!response.ok) throw new Problem(response.status, "UNAVAILABLE", "The storage refused the file.");
}

function attachment({ id, name, size, type, width, height }: UploadState): Attachment {
  return { id, name, size, type, width: width ?? null, height: height ?? null };
}
