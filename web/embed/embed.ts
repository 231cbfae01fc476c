/**
 * Owns what a host page loads to show Hubbub inside it: makes the frame, and answers it when it asks for a token. A classic
 * script without imports, so that `<script src="https://chat.example.com/embed.js">` is all that it takes: it makes `Hubbub.embed`.
 */

export interface EmbedOptions {
  /** Where the frame goes; it fills it. */
  into: HTMLElement;
  /** The tenant whose widget it is. */
  tenant: string;
  /** A token of the person who looks at the page; null when there is none. Asked for at the start and ahead of each token's end. */
  getToken: () => Promise<string | null> | string | null;
  /** Read out to people who do not see the frame. */
  title?: string;
}

export interface Embedded {
  frame: HTMLIFrameElement;
  /** Takes it away. */
  remove: () => void;
}

// All that is top level here would be so in the host page as well.
(() => {
  const script = document.currentScript;
  const origin = script instanceof HTMLScriptElement ? new URL(script.src).origin : window.location.origin;

  function embed({ into, tenant, getToken, title = "Conversations" }: EmbedOptions): Embedded {
    const frame = document.createElement("iframe");
    frame.src = `${origin}/widget/${encodeURIComponent(tenant)}`;
    frame.title = title;
    frame.allow = "clipboard-write";
    frame.style.cssText = "border:0;width:100%;height:100%";

    async function hear({ source, origin: from, data }: MessageEvent<unknown>): Promise<void> {
      if (source !== frame.contentWindow || from !== origin || !isQuestion(data)) return;
      const answer = { hubbub: "token", ref: data.ref };
      const token = await Promise.resolve()
        .then(getToken)
        .then((found) => ({ token: found }), () => ({ token: null, failed: true }));
      frame.contentWindow?.postMessage({ ...answer, ...token }, origin);
    }

    const listen = (event: MessageEvent<unknown>) => void hear(event);
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

  function isQuestion(data: unknown): data is { ref: unknown } {
    return typeof data === "object" && data !== null && "hubbub" in data && data.hubbub === "token" && "ref" in data;
  }

  (globalThis as { Hubbub?: { embed: typeof embed } }).Hubbub = { embed };
})();
