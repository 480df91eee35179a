// Node's mysql2 as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or fails saying what went wrong.
// $COMPRESS: in the compressed protocol.
'use strict';

const assert = require('node:assert/strict');
const { Readable } = require('node:stream');
const mysql = require('mysql2/promise');

const [host, port, user, password, tls] = process.argv.slice(2);
const table = `mysql2_${tls ? 'tls' : 'plain'}`;

const connect = (overrides = {}) =>
  mysql.createConnection({
    host,
    port: Number(port),
    user,
    password,
    database: 'app',
    ssl: tls ? { rejectUnauthorized: false } : undefined,
    multipleStatements: true,
    compress: Boolean(process.env.COMPRESS),
    connectTimeout: 30000,
    ...overrides,
  });

const fails = async (promise, code) => {
  const error = await promise.then(
    () => assert.fail(`no error ${code}`),
    (error) => error,
  );
  assert.equal(error.errno, code, error.message);
};

async function main() {
  const connection = await connect();
  const rows = async (sql, values) => (await connection.query({ sql, rowsAsArray: true }, values))[0];

  assert.deepEqual(await rows("SELECT 1, NULL, 'é€😀'"), [[1, null, 'é€😀']]);
  await connection.query(`DROP TABLE IF EXISTS ${table}`);
  await connection.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, body LONGTEXT)`);

  for (let n = 1; n <= 3; n++) {
    const [got] = await connection.execute('SELECT ? AS a, CONCAT(?, "!") AS b', [n, 'text'.repeat(n)]);
    assert.equal(Number(got[0].a), n);
    assert.equal(got[0].b, 'text'.repeat(n) + '!');
  }
  const statement = await connection.prepare('SELECT ? + 1 AS n');
  const [[answer]] = await statement.execute([41]);
  assert.equal(Number(answer.n), 42);
  await statement.close();

  await connection.beginTransaction();
  await connection.execute(`INSERT INTO ${table} VALUES (?, ?)`, [1, 'rolled back']);
  await connection.rollback();
  assert.deepEqual(await rows(`SELECT * FROM ${table}`), []);
  await connection.beginTransaction();
  await connection.execute(`INSERT INTO ${table} VALUES (?, ?)`, [1, 'kept']);
  await connection.commit();
  assert.deepEqual(await rows(`SELECT * FROM ${table}`), [[1, 'kept']]);

  // Two at once: the driver queues the second behind the first.
  const both = await Promise.all([rows('SELECT 1'), rows('SELECT 2')]);
  assert.deepEqual(both, [[[1]], [[2]]]);

  const lines = Array.from({ length: 1000 }, (_, n) => Buffer.from(`${n + 100}\tline ${n}\n`));
  await connection.query({
    sql: `LOAD DATA LOCAL INFILE 'from-memory' INTO TABLE ${table}`,
    infileStreamFactory: () => Readable.from(lines),
  });
  assert.deepEqual(await rows(`SELECT COUNT(*) FROM ${table} WHERE id >= 100`), [[1000]]);

  const [[big]] = await rows("SELECT REPEAT('x', 40000000)");
  assert.equal(big.length, 40000000);
  await connection.query(`INSERT INTO ${table} VALUES (2, ?)`, ['y'.repeat(20000000)]);
  await connection.execute(`INSERT INTO ${table} VALUES (3, ?)`, ['z'.repeat(20000000)]);
  assert.deepEqual(await rows(`SELECT LENGTH(body) FROM ${table} WHERE id IN (2, 3)`), [[20000000], [20000000]]);

  const many = await rows('SELECT 1; SELECT 2, 3; DO 0');
  assert.deepEqual([many[0], many[1]], [[[1]], [[2, 3]]]);
  assert.equal(many.length, 3);

  await connection.query(`DROP PROCEDURE IF EXISTS ${table}_two`);
  await connection.query(`CREATE PROCEDURE ${table}_two(n INT) BEGIN SELECT n; SELECT n + 1, 'b'; END`);
  assert.deepEqual((await rows(`CALL ${table}_two(7)`)).slice(0, 2), [[[7]], [[8, 'b']]]);
  const [sets] = await connection.execute({ sql: `CALL ${table}_two(?)`, rowsAsArray: true }, [7]);
  assert.deepEqual(sets.slice(0, 2), [[[7]], [[8, 'b']]]);

  await fails(connection.query('SELEKT 1'), 1064);
  await fails(connection.execute('SELEKT ?', [1]), 1064);
  await fails(connection.execute(`INSERT INTO ${table} VALUES (1, 'again')`), 1062);
  assert.deepEqual(await rows("SELECT 'alive'"), [['alive']]);

  await connection.ping();
  await connection.changeUser({ user, password, database: 'app' });
  assert.deepEqual(await rows('SELECT DATABASE()'), [['app']]);

  await connection.query(`DROP PROCEDURE ${table}_two`);
  await connection.query(`DROP TABLE ${table}`);
  await connection.end();
  await fails(connect({ password: 'wrong' }), 1045);
}

main().then(
  () => console.log('OK'),
  (error) => {
    console.error(`mysql2: ${error.stack}`);
    process.exitCode = 1;
  },
);
