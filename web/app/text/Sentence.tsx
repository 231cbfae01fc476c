/** Renders a sentence whose names are marked by `isolated`, each in a `bdi` element. */
import { partsOf } from "./isolation";

export function Sentence({ text }: { text: string }) {
  // The parts have no identity but their place.
  return <>{partsOf(text).map((part, index) => (index % 2 === 0 ? part : <bdi key={index}>{part}</bdi>))}</>;
}
