<?php
// PHP's PDO as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or fails saying what went wrong.
declare(strict_types=1);

[, $host, $port, $user, $password] = $argv;
$tls = ($argv[5] ?? '') === 'tls';

function connect(string $password, array $options = []): PDO
{
    global $host, $port, $user, $tls;
    $secure = $tls ? [PDO::MYSQL_ATTR_SSL_CA => '', PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => false] : [];
    // The driver takes a cipher for the wish to be on TLS.
    $secure += $tls ? [PDO::MYSQL_ATTR_SSL_CIPHER => 'DEFAULT'] : [];
    return new PDO("mysql:host=$host;port=$port;dbname=app;charset=utf8mb4", $user, $password, $options + $secure + [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::MYSQL_ATTR_LOCAL_INFILE => true,
        PDO::ATTR_TIMEOUT => 30,
    ]);
}

function check(string $what, mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        fwrite(STDERR, "php_pdo: $what: got " . json_encode($got) . ', wanted ' . json_encode($wanted) . "\n");
        exit(1);
    }
}

function fails(string $what, int $code, callable $work): void
{
    try {
        $work();
    } catch (PDOException $error) {
        check("error of $what", $error->errorInfo[1] ?? $error->getCode(), $code);
        return;
    }
    check($what, 'no error', $code);
}

function everything(PDO $pdo, string $table, bool $emulated): void
{
    $rows = fn (string $sql) => $pdo->query($sql)->fetchAll(PDO::FETCH_NUM);
    check('text query', $rows("SELECT 1, NULL, 'é€😀'"), [[1, null, 'é€😀']]);
    $pdo->exec("DROP TABLE IF EXISTS $table");
    $pdo->exec("CREATE TABLE $table (id INT PRIMARY KEY AUTO_INCREMENT, body LONGTEXT)");

    $statement = $pdo->prepare('SELECT CONCAT(?, ?)');
    for ($n = 1; $n <= 3; $n++) {
        $statement->execute([$n, 'text']);
        check('prepared', $statement->fetchAll(PDO::FETCH_COLUMN), ["{$n}text"]);
    }
    $named = $pdo->prepare("INSERT INTO $table (body) VALUES (:body)");
    $pdo->beginTransaction();
    $named->execute(['body' => 'rolled back']);
    check('in a transaction', $pdo->inTransaction(), true);
    $pdo->rollBack();
    $pdo->beginTransaction();
    $named->execute(['body' => 'kept']);
    $id = $pdo->lastInsertId();
    $pdo->commit();
    check('over', $pdo->inTransaction(), false);
    check('after commit', $rows("SELECT id, body FROM $table"), [[(int) $id, 'kept']]);
    $pdo->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
    $pdo->exec("UPDATE $table SET body = 'kept still'");
    $pdo->rollBack();
    $pdo->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);

    $pdo->exec("INSERT IGNORE INTO $table VALUES ($id, 'again')");
    // Prepared, MySQL has none of it.
    if ($emulated) {
        check('show warnings', $rows('SHOW WARNINGS')[0][1], 1062);
    }

    $file = tempnam(sys_get_temp_dir(), 'tidegate');
    file_put_contents($file, implode('', array_map(fn ($n) => "$n\tline $n\n", range(100, 1099))));
    check('LOCAL INFILE', $pdo->exec("LOAD DATA LOCAL INFILE '$file' INTO TABLE $table"), 1000);
    unlink($file);
    $pdo->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, false);
    $read = 0;
    foreach ($pdo->query("SELECT id FROM $table WHERE id >= 100") as $_) {
        $read++;
    }
    check('unbuffered rows', $read, 1000);
    $pdo->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, true);

    check('20 MB row', strlen($rows("SELECT REPEAT('x', 20000000)")[0][0]), 20_000_000);
    $big = $pdo->prepare("INSERT INTO $table VALUES (?, ?)");
    $body = str_repeat('y', 10_000_000);
    $big->bindValue(1, 2000, PDO::PARAM_INT);
    $big->bindParam(2, $body, PDO::PARAM_LOB);
    $big->execute();
    check('10 MB insert', $rows("SELECT LENGTH(body) FROM $table WHERE id = 2000"), [[10_000_000]]);

    $pdo->exec("DROP PROCEDURE IF EXISTS {$table}_two");
    $pdo->exec("CREATE PROCEDURE {$table}_two(n INT) BEGIN SELECT n; SELECT n + 1; END");
    $call = $pdo->prepare("CALL {$table}_two(?)");
    $call->bindValue(1, 7, PDO::PARAM_INT);
    $call->execute();
    check('procedure, first', $call->fetchAll(PDO::FETCH_NUM), [[7]]);
    check('procedure, more', $call->nextRowset(), true);
    check('procedure, second', $call->fetchAll(PDO::FETCH_NUM), [[8]]);
    $call->closeCursor();
    $pdo->exec("DROP PROCEDURE {$table}_two");

    fails('a syntax error', 1064, fn () => $pdo->query('SELEKT 1'));
    fails('a prepared error', 1146, fn () => $pdo->prepare('SELECT * FROM none WHERE id = ?')->execute([1]));
    fails('a duplicate', 1062, fn () => $pdo->exec("INSERT INTO $table VALUES ($id, 'again')"));
    check('after errors', $rows('SELECT 5'), [[5]]);
    $pdo->exec("DROP TABLE $table");
}

if ($tls) {
    $cipher = connect($password)->query("SHOW STATUS LIKE 'Ssl_cipher'")->fetch(PDO::FETCH_NUM)[1];
    check('TLS', $cipher !== '', true);
}
$name = 'php_' . ($tls ? 'tls' : 'plain');
everything(connect($password), "{$name}_emulated", true);
everything(connect($password, [PDO::ATTR_EMULATE_PREPARES => false]), "{$name}_prepared", false);
$several = connect($password)->query('SELECT 1; SELECT 2, 3');
check('multi-statement, first', $several->fetchAll(PDO::FETCH_NUM), [[1]]);
check('multi-statement, more', $several->nextRowset(), true);
check('multi-statement, second', $several->fetchAll(PDO::FETCH_NUM), [[2, 3]]);
fails('a wrong password', 1045, fn () => connect('wrong'));
echo "OK\n";
