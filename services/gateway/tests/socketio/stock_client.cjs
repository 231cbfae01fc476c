// The stock socket.io-client of npm, driven by lines of JSON: options as the argument, commands on stdin, what happens on stdout.
// Run with NODE_PATH=web/node_modules. It is a client as its documentation shows it, and keeps one number for each channel unless it is forgetful.
"use strict";
const readline = require("node:readline");
const { io } = require("socket.io-client");

const { url, auth = {}, forgetful = false, ...options } = JSON.parse(process.argv[2]);
const positions = {};
const tell = (what, value) => process.stdout.write(JSON.stringify([what, value ?? null]) + "\n");

const socket = io(url, {
  ...options,
  reconnectionDelay: 50,
  reconnectionDelayMax: 200,
  auth: (use) => use({ ...auth, ...(!forgetful && Object.keys(positions).length ? { positions } : {}) }),
});
socket.on("connect", () => tell("connected", socket.recovered === true));
socket.on("connect_error", (error) => tell("connect_error", { message: error.message, data: error.data, active: socket.active }));
socket.on("disconnect", (reason) => tell("disconnect", { reason, active: socket.active }));
socket.on("hello", ({ channels }) => channels.forEach(({ id, seq }) => (positions[id] ??= seq)));
socket.on("synced", ({ channels }) => {
  for (const [channel, { status, seq }] of Object.entries(channels)) {
    if (status === "reset") positions[channel] = seq;
    if (status === "gone") delete positions[channel];
  }
});
socket.on("joined", ({ channel }) => (positions[channel.id] = channel.seq));
socket.on("left", ({ channel }) => delete positions[channel]);
socket.on("event", ({ channel, seq }) => (positions[channel] = seq));
socket.onAny((name, value) => tell(name, value));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, name, value] = JSON.parse(line);
  if (command === "emit") socket.emit(name, value, (...answer) => tell("answer", answer));
  if (command === "close") socket.close();
});
