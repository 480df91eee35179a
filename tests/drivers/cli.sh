#!/bin/sh
# A mysql or mariadb command-line client: PROGRAM HOST PORT USER PASSWORD [tls]. Prints OK, or fails
# saying what went wrong. $OPTIONS: more of the client's.
set -eu
program=$1 host=$2 port=$3 user=$4 password=$5 tls=${6:-}
table=cli_$(basename "$program")_${tls:-plain}

# MySQL's client knows its own commands in a script only when told to.
commands=
case $(basename "$program") in
    mysql) commands=--commands; if [ -n "$tls" ]; then tls_options=--ssl-mode=REQUIRED; else tls_options='--ssl-mode=DISABLED --get-server-public-key'; fi ;;
    *) if [ -n "$tls" ]; then tls_options='--ssl --skip-ssl-verify-server-cert'; else tls_options=--skip-ssl; fi ;;
esac

# shellcheck disable=SC2086 # several options
client() {
    MYSQL_PWD=$password "$program" --no-defaults $tls_options --host="$host" --port="$port" --protocol=TCP \
        --user="$user" --default-character-set=utf8mb4 --local-infile=1 --max-allowed-packet=1G ${OPTIONS:-} \
        --batch --skip-column-names "$@" app
}

check() {
    if [ "$2" != "$3" ]; then
        echo "$program: $1: got '$2', wanted '$3'" >&2
        exit 1
    fi
}

file=$(mktemp)
trap 'rm -f "$file"' EXIT
seq 100 1099 | sed 's/.*/&\tline &/' >"$file"

check 'text query' "$(client -e "SELECT 1, NULL, 'é€😀'")" "1	NULL	é€😀"
cipher=$(client $commands -e "\\s" | grep -c 'Cipher in use is' || true)
check TLS "$cipher" "$([ -n "$tls" ] && echo 1 || echo 0)"

# One session from here: everything in a script, its answers one a line.
wanted="0
kept
1000
text 3
1
2
7
8
alive
20000000
bye"
got=$({
    cat <<SQL
DROP TABLE IF EXISTS $table;
CREATE TABLE $table (id INT PRIMARY KEY, body LONGTEXT);
START TRANSACTION; INSERT INTO $table VALUES (1, 'rolled back'); ROLLBACK;
SELECT COUNT(*) FROM $table;
START TRANSACTION; INSERT INTO $table VALUES (1, 'kept'); COMMIT;
SELECT body FROM $table;
LOAD DATA LOCAL INFILE '$file' INTO TABLE $table;
SELECT COUNT(*) FROM $table WHERE id >= 100;
PREPARE p FROM 'SELECT CONCAT(?, ?)'; SET @a = 'text ', @b = 3; EXECUTE p USING @a, @b; DEALLOCATE PREPARE p;
delimiter //
SELECT 1; SELECT 2//
DROP PROCEDURE IF EXISTS ${table}_two//
CREATE PROCEDURE ${table}_two(n INT) BEGIN SELECT n; SELECT n + 1; END//
CALL ${table}_two(7)//
delimiter ;
SELEKT 1;
INSERT INTO $table VALUES (1, 'again');
SELECT 'alive';
SQL
    printf "INSERT INTO %s VALUES (2, '" "$table"
    head -c 20000000 /dev/zero | tr '\0' y
    cat <<SQL
');
SELECT LENGTH(body) FROM $table WHERE id = 2;
DROP PROCEDURE ${table}_two; DROP TABLE $table;
SELECT 'bye';
SQL
} | client --force 2>"$file.errors" || true)
errors=$(grep -o 'ERROR [0-9]*' "$file.errors" | tr '\n' ' ')
rm -f "$file.errors"
check session "$got" "$wanted"
check errors "$errors" 'ERROR 1064 ERROR 1062 '

check '40 MB row' "$(client -e "SELECT REPEAT('x', 40000000)" | wc -c)" 40000001

if password=wrong client -e 'SELECT 1' 2>"$file"; then
    echo "$program: a wrong password was let in" >&2
    exit 1
fi
check 'wrong password' "$(grep -o 'ERROR 1045' "$file")" 'ERROR 1045'
echo OK
