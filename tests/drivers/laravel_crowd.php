<?php
// A crowd of PHP's PDO, each process a client that begins as Laravel's connector does: HOST PORT USER
// PASSWORD CLIENTS ROUNDS [warned]. Prints "resting" when all rest, goes on at a line of input, then
// prints OK.
declare(strict_types=1);

[, $host, $port, $user, $password, $clients, $rounds] = $argv;
// Whether each rest begins with the warnings of what is often written and not quite in order.
$warned = ($argv[7] ?? '') === 'warned';

function check(string $what, mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        throw new RuntimeException("$what: got " . json_encode($got) . ', wanted ' . json_encode($wanted));
    }
}

function pause(): void
{
    usleep(random_int(50_000, 300_000));
}

// Illuminate\Database\Connectors\MySqlConnector, statement by statement, with a time zone configured.
function connect(string $host, string $port, string $user, string $password): PDO
{
    $pdo = new PDO("mysql:host=$host;port=$port;dbname=app", $user, $password, [
        PDO::ATTR_CASE => PDO::CASE_NATURAL,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_ORACLE_NULLS => PDO::NULL_NATURAL,
        PDO::ATTR_STRINGIFY_FETCHES => false,
        PDO::ATTR_EMULATE_PREPARES => false,
        PDO::ATTR_TIMEOUT => 30,
    ]);
    $pdo->exec('use `app`;');
    $pdo->prepare("set names 'utf8mb4' collate 'utf8mb4_unicode_ci'")->execute();
    $pdo->prepare('set time_zone="+00:00"')->execute();
    $pdo->prepare("set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,"
        . "NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'")->execute();
    return $pdo;
}

function run(PDO $pdo, string $sql, array $values): PDOStatement
{
    $statement = $pdo->prepare($sql);
    $statement->execute($values);
    return $statement;
}

function work(PDO $pdo, int $number, int $round): void
{
    global $warned;
    $pdo->beginTransaction();
    run($pdo, 'insert into `crowd` (`client`, `note`) values (?, ?)', [$number, 'new']);
    $id = $pdo->lastInsertId();
    $pdo->exec('SAVEPOINT trans2');
    run($pdo, 'insert into `crowd` (`client`, `note`) values (?, ?)', [$number, 'lost']);
    $pdo->exec('ROLLBACK TO SAVEPOINT trans2');
    check('updated', run($pdo, 'update `crowd` set `note` = ? where `id` = ?', ['kept', $id])->rowCount(), 1);
    $pdo->commit();
    $count = run($pdo, 'select count(*) as aggregate from `crowd` where `client` = ?', [$number]);
    check('rows of this client', $count->fetchColumn(), $round + 1);
    $found = run($pdo, 'select `note` from `crowd` where `id` = ? limit 1', [$id]);
    check('read', $found->fetchAll(PDO::FETCH_COLUMN), ['kept']);
    $zone = $pdo->query('select @@session.time_zone, @@session.collation_connection');
    check('settings', $zone->fetch(PDO::FETCH_NUM), ['+00:00', 'utf8mb4_unicode_ci']);
    if ($warned) {
        $columns = '(`id`, `client`, `note`) values (?, ?, ?)';
        run($pdo, "insert ignore into `crowd` $columns", [$id, $number, 'twice']);
        $upsert = "insert into `crowd` $columns on duplicate key update `note` = values(`note`)";
        run($pdo, $upsert, [$id, $number, 'kept twice']);
    }
}

function live(int $number, int $rounds, array $server, mixed $parent): void
{
    $pdo = connect(...$server);
    pause();
    // Every other one rests early and long, while the rest go on.
    $early = $number % 2 === 0 ? $rounds : 2 * $rounds;
    for ($round = 0; $round < $early; $round++) {
        work($pdo, $number, $round);
        pause();
    }
    fwrite($parent, '.');
    fread($parent, 1);
    work($pdo, $number, $early);
    $pdo = null;
}

// One pair of sockets for all: a byte from each that rests, a byte to each that may go on.
[$parent, $children] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
stream_set_read_buffer($parent, 0);
$pids = [];
for ($number = 0; $number < (int) $clients; $number++) {
    $pid = pcntl_fork();
    if ($pid === 0) {
        fclose($children);
        try {
            live($number, (int) $rounds, [$host, $port, $user, $password], $parent);
        } catch (Throwable $error) {
            fwrite(STDERR, "client $number: $error\n");
            exit(1);
        }
        exit(0);
    }
    $pids[] = $pid;
}
fclose($parent);
for ($resting = 0; $resting < (int) $clients;) {
    $ready = [$children];
    $none = [];
    if (stream_select($ready, $none, $none, 0, 100_000) > 0) {
        $resting += strlen((string) fread($children, (int) $clients));
    }
    // The others would wait for one that failed.
    if (pcntl_waitpid(-1, $status, WNOHANG) > 0) {
        array_map(fn ($pid) => posix_kill($pid, SIGTERM), $pids);
        exit(1);
    }
}
echo "resting\n";
fgets(STDIN);
fwrite($children, str_repeat('.', (int) $clients));
$failed = false;
foreach ($pids as $pid) {
    pcntl_waitpid($pid, $status);
    $failed = $failed || $status !== 0;
}
echo $failed ? "failed\n" : "OK\n";
exit($failed ? 1 : 0);
