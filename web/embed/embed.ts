/**
 * The script that a host page loads to show Hubbub in a frame: creates the frame and answers its requests for tokens.
 * It is a classic script without imports: `<script src="https://chat.example.com/embed.js">` defines `Hubbub.embed`.
 */

export interface EmbedOptions {
  /** The element that the frame is appended to and fills. */
  into: HTMLElement;
  /** The tenant whose widget is shown. */
  tenant: string;
  /** Returns a token of the current user, or null when there is none. Called at the start and before each token expires. */
  getToken: () => Promise<string | null> | string | null;
  /** The accessible name of the frame. */
  title?: string;
}

export interface Embedded {
  frame: HTMLIFrameElement;
  /** Removes the frame. */
  remove: () => void;
}

// A function scope, because top-level names of a classic script are global in the host page.
(() => {
  const script = document.currentScript;
  const origin = script instanceof HTMLScriptElement ? new URL(script.src).origin : window.location.origin;

  function embed({ into, tenant, getToken, title = "Conversations" }: EmbedOptions): Embedded {
    const frame = document.createElement("iframe");
    frame.src = `${origin}/widget/${encodeURIComponent(tenant)}`;
    frame.title = title;
    frame.allow = "clipboard-write";
    frame.style.cssText = "border:0;width:100%;height:100%";

    async function answer({ source, origin: from, data }: MessageEvent<unknown>): Promise<void> {
      if (source !== frame.contentWindow || from !== origin || !isTokenRequest(data)) return;
      const token = await Promise.resolve()
        .then(getToken)
        .then((found) => ({ token: found }), () => ({ token: null, failed: true }));
      frame.contentWindow?.postMessage({ hubbub: "token", ref: data.ref, ...token }, origin);
    }

    const listen = (event: MessageEvent<unknown>) => void answer(event);
    window.addEventListener("message", listen);
    into.append(frame);
    return {
      frame,
      remove: () => {
        window.removeEventListener("message", listen);
        frame.remove();
      },
    };
  }

  function isTokenRequest(data: unknown): data is { ref: unknown } {
    return typeof data === "object" && data !== null && "hubbub" in data && data.hubbub === "token" && "ref" in data;
  }

  (globalThis as { Hubbub?: { embed: typeof embed } }).Hubbub = { embed };
})();
