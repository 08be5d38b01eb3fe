// The main job of Limpet, seen by a WebSocket client that was written elsewhere: the one built into Node.
//
//   node --experimental-websocket node_scene.mjs LIMPETD LIMPETCTL LIMPET-ECHO [FLAG-FOR-LIMPETD...]
//
// Three echo servers (Node has no WebSocket server of its own: they are limpet-echo's), the real limpetd before them,
// clients from 60 addresses: the same statements as in websockets_scene.py. Exit status: 0 all of it is true; 1 something
// is not, or could not be tried; 2 usage; 77 this Node has no WebSocket client that can be given a source address.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const [limpetd, limpetctl, limpetEcho, ...extra] = process.argv.slice(2);
const names = ['ws1', 'ws2', 'ws3'];
const drained = 'ws2';
const count = 60;
const rounds = 5;

class Untrue extends Error {}
class Skipped extends Error {}

function claim(holds, statement) {
  if (!holds) throw new Untrue(statement);
  console.log(`ok: ${statement}`);
}

// ---- What was started, and its end ----

const directory = limpetEcho && mkdtempSync(join(tmpdir(), 'limpet-scene-'));
const control = directory && join(directory, 'control.sock');
const children = [];

function start(program, args, stdio) {
  const child = spawn(program, args, { stdio });
  child.ended = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', resolve);
  });
  children.push(child);
  return child;
}

async function tearDown() {
  for (const child of children.reverse()) {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await child.ended;
    clearTimeout(late);
  }
  rmSync(directory, { recursive: true, force: true });
}

// ---- limpetd and limpetctl ----

function run(...args) {
  return new Promise((resolve) => {
    execFile(limpetctl, ['--control', control, ...args], (error, stdout, stderr) =>
      resolve({ status: error ? error.code : 0, stdout, stderr }));
  });
}

async function ctl(...args) {
  const { status, stdout, stderr } = await run(...args, '--json');
  if (status !== 0) throw new Untrue(`limpetctl ${args.join(' ')} succeeds (${status}: ${stderr.trim()})`);
  return JSON.parse(stdout);
}

async function startServer(name) {
  const child = start(limpetEcho, ['serve', '--name', name], ['ignore', 'pipe', 'inherit']);
  for await (const line of createInterface({ input: child.stdout })) return `${name}=${line}`;
  throw new Untrue(`the echo server ${name} starts`);
}

async function startLimpetd(backends) {
  const args = ['--listen', '127.0.0.1:0', '--control', control, '--state-directory', join(directory, 'state')];
  for (const backend of backends) args.push('--backend', backend);
  if (process.geteuid() === 0) args.push('--user', 'root');
  const log = openSync(join(directory, 'log'), 'w');
  const child = start(limpetd, [...args, ...extra], ['ignore', log, log]);
  closeSync(log);
  while ((await run('ready', '-q')).status !== 0) {
    if (child.exitCode !== null) throw new Untrue(`limpetd starts (it exited with ${child.exitCode})`);
    await sleep(20);
  }
  const { listeners } = await ctl('listeners');
  return listeners[0].address;
}

// ---- Clients ----

/// The class of the connection pools behind Node's own client. Node has no option for a client's source address; a pool
/// has.
function poolClass() {
  if (typeof WebSocket === 'undefined') throw new Skipped('this Node has no WebSocket: version 20 with the flag, or 22');
  const shared = globalThis[Symbol.for('undici.globalDispatcher.1')];
  if (!shared) throw new Skipped('this Node does not show the dispatcher of its WebSocket client');
  return shared.constructor;
}

class Client {
  constructor(url, source, Pool) {
    this.source = source;
    this.inbox = [];
    this.waiting = [];
    this.pool = new Pool({ localAddress: source });
    this.socket = new WebSocket(url, { dispatcher: this.pool });
    this.closed = new Promise((resolve) => {
      this.socket.onclose = (event) => {
        this.end = event;
        for (const { reject } of this.waiting.splice(0)) reject(new Untrue(`${source} stays connected`));
        resolve(event);
      };
    });
    this.socket.onerror = () => {}; // A close event with the reason always follows.
    this.socket.onmessage = ({ data }) => {
      const next = this.waiting.shift();
      if (next) next.resolve(data);
      else this.inbox.push(data);
    };
  }

  receive() {
    if (this.inbox.length > 0) return Promise.resolve(this.inbox.shift());
    if (this.end) return Promise.reject(new Untrue(`${this.source} stays connected`));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  /// The name of the server, from its greeting.
  async greeting() {
    return (await this.receive()).replace(/^hello from /, '');
  }

  async echoes(text) {
    this.socket.send(text);
    return (await this.receive()) === text;
  }

  async close() {
    this.socket.close(1000);
    const { code, wasClean } = await this.closed;
    await this.pool.destroy();
    return wasClean && code === 1000;
  }
}

async function visitAll(url, sources, Pool) {
  return Promise.all(sources.map(async (source) => {
    const client = new Client(url, source, Pool);
    const name = await client.greeting();
    if (!(await client.echoes(`${source} was here`))) throw new Untrue(`${source} hears its own words`);
    if (!(await client.close())) throw new Untrue(`${source}'s connection ends in order`);
    return name;
  }));
}

// ---- The scene ----

async function play() {
  const backends = [];
  for (const name of names) backends.push(await startServer(name));
  const address = await startLimpetd(backends);
  const url = `ws://${address}/`;
  const Pool = poolClass();

  // Spread over several networks, as clients are.
  const sources = Array.from({ length: count }, (_, i) => `127.${1 + (i % 4)}.${i >> 3}.${100 + i}`);
  const home = await visitAll(url, sources, Pool);
  // From one address they would all have landed on one server.
  claim(names.every((name) => home.includes(name)), `${count} clients have landed, some on each of ${names.join(', ')}`);
  const first = home.indexOf(drained);
  const idle = new Client(url, sources[first], Pool);
  claim((await idle.greeting()) === drained, `${sources[first]} has a WebSocket to ${drained} and leaves it idle`);

  for (let round = 1; round <= rounds; round++) {
    const again = await visitAll(url, sources, Pool);
    const same = again.filter((name, i) => name === home[i]).length;
    claim(same === count, `round ${round}: ${same} of ${count} reconnect to the same server`);
  }

  await ctl('drain', drained);
  const away = await visitAll(url, sources, Pool);
  const guests = home.filter((name) => name === drained).length;
  const moved = away.filter((name, i) => name !== home[i]).length;
  claim(away.every((name, i) => name !== drained && (home[i] === drained || name === home[i])),
    `after the drain ${moved} have moved: ${drained}'s ${guests} clients, nobody else`);

  await ctl('undrain', drained);
  const back = await visitAll(url, sources, Pool);
  const same = back.filter((name, i) => name === home[i]).length;
  claim(same === count, `after the undrain ${same} of ${count} are home`);

  claim(await idle.echoes('still there?'), 'the idle WebSocket is still open and still echoes');
  claim(await idle.close(), 'and it ends in order');
}

async function main() {
  if (!limpetEcho) {
    console.error('usage: node --experimental-websocket node_scene.mjs LIMPETD LIMPETCTL LIMPET-ECHO [FLAG...]');
    return 2;
  }
  const patience = setTimeout(() => finish(new Untrue('the scene ends within three minutes')), 180_000);
  try {
    await play();
    return 0;
  } catch (error) {
    return report(error);
  } finally {
    clearTimeout(patience);
    await tearDown();
  }
}

function report(error) {
  if (error instanceof Skipped) {
    console.error(`skipped: ${error.message}`);
    return 77;
  }
  console.error(error instanceof Untrue ? `not true: ${error.message}` : error);
  try {
    console.error(`limpetd logged:\n${readFileSync(join(directory, 'log'), 'utf8')}`);
  } catch {
    console.error('limpetd was not started');
  }
  return 1;
}

async function finish(error) {
  const status = report(error);
  await tearDown();
  process.exit(status);
}

process.exitCode = await main();
