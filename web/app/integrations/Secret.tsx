/** A secret that the server has just made and shows this once, with a button that copies it. */
import { useRef, useState } from "react";

interface Props {
  /** What the secret is, as a label. */
  label: string;
  value: string;
}

export function Secret({ label, value }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);

  async function copy() {
    field.current?.select();
    await navigator.clipboard.writeText(value);
    setCopied(true);
  }

  return (
    <div className="secret" data-testid="secret">
      <label className="field">
        <span>{label}</span>
        <input ref={field} className="input secret-value" data-testid="secret-value" value={value} readOnly spellCheck={false} autoComplete="off" onFocus={(event) => event.target.select()} />
      </label>
      {window.isSecureContext && (
        <button type="button" className="button" data-testid="secret-copy" onClick={() => void copy()}>
          Copy
        </button>
      )}
      <p className="form-note muted" role="status">
        {copied ? "Copied. It will not be shown again." : "Keep it in a safe place. It will not be shown again."}
      </p>
    </div>
  );
}
