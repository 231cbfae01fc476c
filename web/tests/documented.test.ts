/** Every name that the package exports is documented, so that an editor shows what a caller may rely on. */
import { readFileSync } from "node:fs";

import ts from "typescript";
import { expect, test } from "vitest";

const { exports } = JSON.parse(readFileSync("client/package.json", "utf8")) as { exports: Record<string, { types?: string }> };
const entries = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [types.replace("./dist/", "client/").replace(".d.ts", ".ts")]));
const program = ts.createProgram(entries, { target: ts.ScriptTarget.ES2022, moduleResolution: ts.ModuleResolutionKind.Bundler, module: ts.ModuleKind.ESNext, types: [], noLib: true });
const checker = program.getTypeChecker();

/** A member whose name begins with `#`. */
function isPrivate({ valueDeclaration }: ts.Symbol): boolean {
  return valueDeclaration !== undefined && ts.isMethodDeclaration(valueDeclaration) && ts.isPrivateIdentifier(valueDeclaration.name);
}

/** The undocumented names of an entry: its exports, and the public methods of its classes. */
function undocumented(entry: string): string[] {
  const source = program.getSourceFile(entry);
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${entry} exports nothing`);
  const bare = (symbol: ts.Symbol) => symbol.getDocumentationComment(checker).length === 0;
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const members = symbol.flags & ts.SymbolFlags.Class ? [...(symbol.members?.values() ?? [])] : [];
    const methods = members.filter((member) => member.flags & ts.SymbolFlags.Method && !isPrivate(member));
    return [...(bare(symbol) ? [symbol.name] : []), ...methods.filter(bare).map((member) => `${symbol.name}.${member.name}`)];
  });
}

test.each(entries)("%s", (entry) => {
  expect(undocumented(entry)).toEqual([]);
});
