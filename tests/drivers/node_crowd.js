// A crowd of Node's mysql2, prepared by .execute: HOST PORT USER PASSWORD CLIENTS ROUNDS. Prints
// "resting" when all rest, goes on at a line of input, then prints OK.
'use strict';

const assert = require('node:assert/strict');
const mysql = require('mysql2/promise');

const [host, port, user, password] = process.argv.slice(2);
const [clients, rounds] = process.argv.slice(6).map(Number);

const pause = () => new Promise((woken) => setTimeout(woken, 50 + Math.random() * 250));

let resting = 0;
let allRest;
let wake;
const everybodyRests = new Promise((resolve) => (allRest = resolve));
const again = new Promise((resolve) => (wake = resolve));

async function work(connection, number, round) {
  const rows = async (sql, values) => (await connection.execute({ sql, rowsAsArray: true }, values))[0];
  await connection.beginTransaction();
  const [made] = await connection.execute('INSERT INTO crowd (client, note) VALUES (?, ?)', [number, 'new']);
  await connection.execute('UPDATE crowd SET note = ? WHERE id = ?', ['kept', made.insertId]);
  await connection.commit();
  await connection.beginTransaction();
  await connection.query('INSERT INTO crowd (client, note) VALUES (?, ?)', [number, 'lost']);
  await connection.rollback();
  assert.deepEqual(await rows('SELECT COUNT(*) FROM crowd WHERE client = ?', [number]), [[round + 1]]);
  assert.deepEqual(await rows('SELECT note FROM crowd WHERE id = ?', [made.insertId]), [['kept']]);
  const [text] = await connection.query({ sql: 'SELECT ? + 1', rowsAsArray: true }, [round]);
  assert.deepEqual(text, [[round + 1]]);
  await connection.ping();
}

async function live(number) {
  const options = { host, port: Number(port), user, password, database: 'app', connectTimeout: 60000 };
  const connection = await mysql.createConnection(options);
  await pause();
  // Every other one rests early and long, while the rest go on.
  const early = number % 2 === 0 ? rounds : 2 * rounds;
  for (let round = 0; round < early; round++) {
    await work(connection, number, round);
    await pause();
  }
  resting += 1;
  if (resting === clients) allRest();
  await again;
  await work(connection, number, early);
  await connection.end();
}

async function main() {
  const lives = Promise.all(Array.from({ length: clients }, (_, number) => live(number)));
  await Promise.race([everybodyRests, lives]);
  console.log('resting');
  process.stdin.once('data', () => {
    process.stdin.pause();
    wake();
  });
  await lives;
}

main().then(
  () => console.log('OK'),
  (error) => {
    console.error(`mysql2: ${error.stack}`);
    process.exit(1);
  },
);
