/**
 * A text field with a list of results below it. Ariakit provides the keyboard and the roles: the focus stays in the field,
 * the arrow keys move through the results, Enter picks one. The first result is selected from the start.
 */
import { Combobox, ComboboxItem, ComboboxList, ComboboxProvider } from "@ariakit/react";
import type { ComboboxItemProps, ComboboxProps } from "@ariakit/react";
import type { ReactNode } from "react";

interface SearchListProps {
  query: string;
  onQuery: (query: string) => void;
  children: ReactNode;
}

/** Contains one `SearchField` and one `SearchResults`. */
export function SearchList({ query, onQuery, children }: SearchListProps) {
  return (
    <ComboboxProvider open inputValue={query} setInputValue={onQuery} focusLoop compositeElementInFocusOrder={false}>
      {children}
    </ComboboxProvider>
  );
}

/** `label` is the accessible name. */
export function SearchField({ label, ...props }: ComboboxProps & { label: string }) {
  return <Combobox autoSelect="always" aria-label={label} {...props} />;
}

interface SearchResultsProps {
  label: string;
  className?: string;
  /** Shown in place of the results; null while there are some. */
  note: string | null;
  children: ReactNode;
}

export function SearchResults({ label, className = "", note, children }: SearchResultsProps) {
  return (
    <div className={`options ${className}`}>
      <ComboboxList alwaysVisible={note === null} hidden={note !== null} aria-label={label}>
        {children}
      </ComboboxList>
      {note !== null && (
        <p className="options-none muted" role="status">
          {note}
        </p>
      )}
    </div>
  );
}

export function SearchResult({ className = "", ...props }: ComboboxItemProps) {
  return <ComboboxItem className={`option ${className}`} focusOnHover setValueOnClick={false} selectValueOnClick={false} hideOnClick={false} {...props} />;
}
