/** Finds users whose names cannot be told apart on screen. */

type Names = ReadonlyMap<string, string>;

const invisible = /[\p{Cf}\p{Cc}\p{Mn}\s]/gu;

/** Equal for names that differ only in case, width, accents, blanks or invisible characters. */
function folded(name: string): string {
  return name.normalize("NFKD").replace(invisible, "").toLowerCase();
}

/** How many users have each name, for the latest maps; every change of the names makes a new map. */
const counts = new WeakMap<Names, ReadonlyMap<string, number>>();

function countsOf(names: Names): ReadonlyMap<string, number> {
  const known = counts.get(names);
  if (known !== undefined) return known;
  const made = new Map<string, number>();
  for (const [user, name] of names) {
    // A user may have chosen another user's id as a name.
    for (const one of new Set([folded(name), folded(user)])) made.set(one, (made.get(one) ?? 0) + 1);
  }
  counts.set(names, made);
  return made;
}

/** Whether another known user has this user's name, or has it as user id. */
export function isShared(names: Names, user: string): boolean {
  return (countsOf(names).get(folded(names.get(user) ?? user)) ?? 0) > 1;
}
