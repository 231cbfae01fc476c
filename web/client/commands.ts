/** Frames that wait for an answer: edit, delete, react, pin and fresh credentials. They are not retried; new messages go through `outbox`. */
import type { Cancel, Clock } from "./clock";
import type { Ack, ClientFrame, Command, ErrorFrame, Proof, Renewed } from "./frames";
import { Problem } from "./http";

const answerMs = 10_000;

interface Pending {
  resolve: (answer: Ack | Renewed) => void;
  reject: (problem: Problem) => void;
  cancel: Cancel;
}

export class Commands {
  readonly #clock: Clock;
  readonly #sendFrame: (frame: ClientFrame) => boolean;
  readonly #pending = new Map<string, Pending>();
  #count = 0;

  constructor(clock: Clock, send: (frame: ClientFrame) => boolean) {
    this.#clock = clock;
    this.#sendFrame = send;
  }

  /** Rejects with `Problem`: the server's reason, or `UNAVAILABLE` without a connection or an answer. Without an answer the effect is unknown. */
  run(command: Command): Promise<Ack> {
    return this.#send<Ack>(command);
  }

  /** Presents fresh credentials on the open socket. Rejects like `run`. */
  present(proof: Proof): Promise<Renewed> {
    return this.#send<Renewed>({ type: "token", ...proof });
  }

  answered(answer: Ack | Renewed): void {
    this.#take(answer.ref)?.resolve(answer);
  }

  #send<A extends Ack | Renewed>(frame: Command | ({ type: "token" } & Proof)): Promise<A> {
    const ref = `c${(this.#count += 1)}`;
    return new Promise<A>((resolve, reject) => {
      const cancel = this.#clock.after(answerMs, () => this.#fail(ref, "No answer in time."));
      this.#pending.set(ref, { resolve: (answer) => resolve(answer as A), reject, cancel });
      if (!this.#sendFrame({ ...frame, ref })) this.#fail(ref, "You are not connected.");
    });
  }

  refused(error: ErrorFrame): void {
    const retryAfterMs = error.retry_after === undefined ? null : error.retry_after * 1000;
    this.#take(error.ref)?.reject(new Problem(0, error.reason, error.detail ?? "", retryAfterMs));
  }

  closed(): void {
    for (const ref of [...this.#pending.keys()]) this.#fail(ref, "The connection was lost.");
  }

  #fail(ref: string, detail: string): void {
    this.#take(ref)?.reject(new Problem(0, "UNAVAILABLE", detail));
  }

  #take(ref: string | undefined): Pending | undefined {
    if (ref === undefined) return undefined;
    const pending = this.#pending.get(ref);
    this.#pending.delete(ref);
    pending?.cancel();
    return pending;
  }
}
