/** Shows a way back in place of what could not be rendered. */
import { Component } from "react";
import type { ReactNode } from "react";

import { goTo } from "./browser/route";
import { Mark } from "./ui/icons";

interface State {
  failed: boolean;
}

/** Tries again when the address changes. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { failed: false };

  static getDerivedStateFromError(): State {
    return { failed: true };
  }

  override componentDidMount(): void {
    window.addEventListener("hashchange", this.#again);
  }

  override componentWillUnmount(): void {
    window.removeEventListener("hashchange", this.#again);
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="splash">
        <Mark />
        <p role="alert">Something went wrong. This page can't be shown.</p>
        <div className="row">
          <button type="button" className="button button-primary" data-testid="way-home" onClick={this.#home}>
            Back to conversations
          </button>
          <button type="button" className="button" onClick={() => window.location.reload()}>
            Reload
          </button>
        </div>
      </main>
    );
  }

  readonly #again = () => {
    if (this.state.failed) this.setState({ failed: false });
  };

  readonly #home = () => {
    goTo(null);
    this.#again();
  };
}
