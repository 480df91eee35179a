// Node's mysql2 with a token for a password: HOST PORT USER TOKEN. Prints OK, or fails saying what went wrong.
'use strict';

const assert = require('node:assert/strict');
const mysql = require('mysql2/promise');

const [host, port, user, password] = process.argv.slice(2);

async function main() {
  const ssl = { rejectUnauthorized: false };
  const options = { host, port: Number(port), user, password, database: 'app', ssl };
  await assert.rejects(mysql.createConnection(options), /enableCleartextPlugin/);
  const connection = await mysql.createConnection({ ...options, enableCleartextPlugin: true });
  const [rows] = await connection.query('SELECT 40 + 2 AS answer');
  assert.equal(rows[0].answer, 42);
  await connection.end();
  console.log('OK');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
