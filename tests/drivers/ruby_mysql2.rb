# Ruby's mysql2 as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or fails saying what went wrong.
require 'mysql2'
require 'tempfile'

HOST, PORT, USER, PASSWORD, TLS = ARGV
TABLE = "ruby_#{TLS || 'plain'}".freeze

def connect(password = PASSWORD)
  Mysql2::Client.new(
    host: HOST, port: PORT.to_i, username: USER, password: password, database: 'app', encoding: 'utf8mb4',
    local_infile: true, connect_timeout: 30, flags: Mysql2::Client::MULTI_STATEMENTS,
    # The library takes this for the wish to be on TLS, and asks for no certificate's word with it.
    sslcipher: TLS && 'HIGH'
  )
end

def check(what, got, wanted)
  abort("ruby_mysql2: #{what}: got #{got.inspect}, wanted #{wanted.inspect}") unless got == wanted
end

def fails(what, code)
  yield
rescue Mysql2::Error => e
  check("error of #{what}", e.error_number, code)
else
  abort("ruby_mysql2: #{what} did not fail")
end

# Rows as they come, and none kept.
def count(result)
  counted = 0
  result.each { counted += 1 }
  counted
end

client = connect
check('TLS', client.ssl_cipher.to_s.empty?, TLS.nil?)
rows = ->(sql) { client.query(sql, as: :array).to_a }
check('text query', rows.call("SELECT 1, NULL, 'é€😀'"), [[1, nil, 'é€😀']])
client.query("DROP TABLE IF EXISTS #{TABLE}")
client.query("CREATE TABLE #{TABLE} (id INT PRIMARY KEY AUTO_INCREMENT, body LONGTEXT)")

statement = client.prepare('SELECT ? + 1, ?')
(1..3).each { |n| check('prepared', statement.execute(n, 't' * n, as: :array).to_a, [[n + 1, 't' * n]]) }
statement.close

client.query('START TRANSACTION')
client.query("INSERT INTO #{TABLE} VALUES (1, 'rolled back')")
client.query('ROLLBACK')
client.query('START TRANSACTION')
client.query("INSERT INTO #{TABLE} (body) VALUES ('kept')")
id = client.last_id
check('affected', client.affected_rows, 1)
client.query('COMMIT')
check('after commit', rows.call("SELECT id, body FROM #{TABLE}"), [[id, 'kept']])

client.query("INSERT IGNORE INTO #{TABLE} VALUES (#{id}, 'again')")
check('warnings', client.warning_count, 1)
check('show warnings', rows.call('SHOW WARNINGS').map { |row| row[1] }, [1062])

Tempfile.create('lines') do |file|
  file.write((100...1100).map { |n| "#{n}\tline #{n}\n" }.join)
  file.flush
  client.query("LOAD DATA LOCAL INFILE '#{file.path}' INTO TABLE #{TABLE}")
end
check('LOCAL INFILE', rows.call("SELECT COUNT(*) FROM #{TABLE} WHERE id >= 100"), [[1000]])

streamed = client.query("SELECT id FROM #{TABLE} WHERE id >= 100", stream: true, cache_rows: false)
check('unbuffered rows', count(streamed), 1000)
many = client.prepare("SELECT id FROM #{TABLE} WHERE id >= ?")
check('prepared, unbuffered', count(many.execute(100, stream: true, cache_rows: false)), 1000)
many.close

check('20 MB row', rows.call("SELECT REPEAT('x', 20000000)")[0][0].length, 20_000_000)
big = client.prepare("INSERT INTO #{TABLE} VALUES (2000, ?)")
big.execute('z' * 10_000_000)
big.close
check('10 MB insert', rows.call("SELECT LENGTH(body) FROM #{TABLE} WHERE id = 2000"), [[10_000_000]])

check('multi-statement, first', rows.call('SELECT 1; SELECT 2, 3; DO 0'), [[1]])
client.next_result
check('multi-statement, second', client.store_result.each(as: :array).to_a, [[2, 3]])
client.store_result while client.next_result

client.query("DROP PROCEDURE IF EXISTS #{TABLE}_two")
client.query("CREATE PROCEDURE #{TABLE}_two(n INT) BEGIN SELECT n; SELECT n + 1; END")
check('procedure, first', rows.call("CALL #{TABLE}_two(7)"), [[7]])
client.next_result
check('procedure, second', client.store_result.each(as: :array).to_a, [[8]])
client.store_result while client.next_result
client.query("DROP PROCEDURE #{TABLE}_two")

fails('a syntax error', 1064) { client.query('SELEKT 1') }
fails('a prepared error', 1146) { client.prepare('SELECT * FROM none WHERE id = ?').execute(1) }
fails('a duplicate', 1062) { client.query("INSERT INTO #{TABLE} VALUES (#{id}, 'again')") }
check('ping', client.ping, true)
check('after errors', rows.call('SELECT 5'), [[5]])

# As ActiveRecord waits, so that other threads run meanwhile.
client.query('SELECT 6', async: true)
check('async', client.async_result.first.values, [6])
client.select_db('app')
client.query("DROP TABLE #{TABLE}")
client.close
fails('a wrong password', 1045) { connect('wrong') }
puts('OK')
