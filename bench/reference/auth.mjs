// Authentication: a JWT (ES256), checked before the upgrade against the same key set as in Hubbub's gateway.
import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";

import jwt from "jsonwebtoken";

const CLAIMS = { algorithms: ["ES256"], issuer: "hubbub-bench", audience: "hubbub" };

/** Returns a function that maps an Authorization header to the user's id. It throws for an invalid token. */
export async function authenticator(file) {
  const { keys } = JSON.parse(await readFile(file, "utf8"));
  const byKid = new Map(keys.map((key) => [key.kid, createPublicKey({ key, format: "jwk" })]));
  return (header) => {
    const token = header?.startsWith("Bearer ") ? header.slice(7) : "";
    const kid = jwt.decode(token, { complete: true })?.header.kid;
    const claims = jwt.verify(token, byKid.get(kid), CLAIMS);
    if (typeof claims.sub !== "string") throw new Error("no subject");
    return claims.sub;
  };
}
