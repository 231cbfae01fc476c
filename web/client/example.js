// Two people talk: `node example.js http://127.0.0.1:8080` beside `make run`. It runs in a browser as it is.
import { connect } from "@hubbub/client";
import { devLogin } from "@hubbub/client/signin";

const origin = globalThis.process?.argv[2] ?? location.origin;
// Node.js has WebSocket since version 22; before, it comes from the package `ws`.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
// Your own server signs the tokens of your users; `devLogin` exists on development servers only.
const person = (user) => connect({ origin, WebSocket, getToken: async () => (await devLogin({ origin }, { user })).token });
const [ada, bob] = await Promise.all([person("ada"), person("bob")]);

bob.on("message", ({ channel, sender, text, sealed }) => {
  if (sender === "ada") bob.send({ channel, text: `You said: ${sealed === undefined ? text : "something encrypted"}` });
});
const answer = new Promise((resolve) => ada.on("message", ({ sender, text }) => sender === "bob" && resolve(text)));

const channel = (await ada.api.createChannel({ kind: "direct", members: ["bob"] })).id;
const { seq } = await ada.post({ channel, text: "Hello!" });
console.log(`Stored as entry ${seq}. ${await answer}`);
for (const client of [ada, bob]) client.stop();
