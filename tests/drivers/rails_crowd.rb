# A crowd of ActiveRecord's on the mysql2 gem, each thread with its connection: HOST PORT USER PASSWORD
# CLIENTS ROUNDS [warned]. Prints "resting" when all rest, goes on at a line of input, then prints OK.
require 'active_record'

HOST, PORT, USER, PASSWORD, CLIENTS, ROUNDS = ARGV[0..3] + ARGV[4..5].map(&:to_i)
# Whether each rest begins with the warnings of what is often written and not quite in order.
WARNED = ARGV[6] == 'warned'

# What `rails new` writes, and prepared statements, which some switch on.
ActiveRecord::Base.establish_connection(
  adapter: 'mysql2', encoding: 'utf8mb4', host: HOST, port: PORT.to_i, username: USER, password: PASSWORD,
  database: 'app', pool: CLIENTS + 1, checkout_timeout: 60, connect_timeout: 30, reaping_frequency: nil,
  variables: { sql_mode: 'TRADITIONAL' }, prepared_statements: true
)

class Crowd < ActiveRecord::Base
  self.table_name = 'crowd'
end

def check(what, got, wanted)
  raise "#{what}: got #{got.inspect}, wanted #{wanted.inspect}" unless got == wanted
end

def pause
  sleep(0.05 + rand * 0.25)
end

def work(number, round)
  made = Crowd.transaction do
    row = Crowd.create!(client: number, note: 'new')
    Crowd.transaction(requires_new: true) do
      Crowd.create!(client: number, note: 'lost')
      raise ActiveRecord::Rollback
    end
    row.lock!
    row.update!(note: 'kept')
    row
  end
  mine = Crowd.where(client: number)
  check('rows of this client', mine.count, round + 1)
  check('read', mine.find(made.id).note, 'kept')
  check('updated', mine.where(id: made.id).update_all(note: 'kept too'), 1)
  check('there', mine.exists?, true)
  twice = { id: made.id, client: number, note: 'kept twice' }
  Crowd.insert_all([twice])
  return Crowd.upsert_all([twice]) if WARNED

  check('raw', Crowd.connection.select_value("SELECT #{round} + 1"), round + 1)
  check('quick', Crowd.connection.active?, true)
end

def live(number, resting, again)
  Crowd.connection
  pause
  # Every other one rests early and long, while the rest go on.
  early = number.even? ? ROUNDS : 2 * ROUNDS
  early.times do |round|
    work(number, round)
    pause
  end
  resting.push(number)
  again.pop
  work(number, early)
  Crowd.connection.disconnect!
rescue StandardError => e
  warn("client #{number}: #{e.full_message}")
  exit!(1)
end

Crowd.columns # the tables are read once a process, before its threads begin
resting = Queue.new
again = Queue.new
threads = Array.new(CLIENTS) { |number| Thread.new { live(number, resting, again) } }
CLIENTS.times { resting.pop }
$stdout.puts('resting')
$stdout.flush
$stdin.gets
again.close
threads.each(&:join)
puts('OK')
