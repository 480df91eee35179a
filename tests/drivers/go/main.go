// Go's database/sql with go-sql-driver as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or
// fails saying what went wrong.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "go: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func same(what string, got, wanted interface{}) {
	if got != wanted {
		check(what, fmt.Errorf("got %v, wanted %v", got, wanted))
	}
}

func fails(what string, err error, code uint16) {
	var refusal *mysql.MySQLError
	if !errors.As(err, &refusal) || refusal.Number != code {
		check(what, fmt.Errorf("got %v, wanted error %d", err, code))
	}
}

func main() {
	host, port, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	tls, table := "false", "go_plain"
	if len(os.Args) > 5 {
		tls, table = "skip-verify", "go_tls"
	}
	address := func(password, more string) string {
		return fmt.Sprintf("%s:%s@tcp(%s:%s)/app?tls=%s&multiStatements=true&maxAllowedPacket=0%s",
			user, password, host, port, tls, more)
	}
	database, err := sql.Open("mysql", address(password, ""))
	check("open", err)
	defer database.Close()
	everything(database, table, true)

	// With interpolation the same goes as text.
	interpolated, err := sql.Open("mysql", address(password, "&interpolateParams=true"))
	check("open", err)
	defer interpolated.Close()
	everything(interpolated, table, false)

	wrong, err := sql.Open("mysql", address("wrong", ""))
	check("open", err)
	fails("wrong password", wrong.Ping(), 1045)
	fmt.Println("OK")
}

func everything(database *sql.DB, table string, prepared bool) {
	background := context.Background()
	connection, err := database.Conn(background)
	check("connect", err)
	defer connection.Close()
	run := func(query string, values ...interface{}) {
		_, err := connection.ExecContext(background, query, values...)
		check(query[:min(len(query), 60)], err)
	}
	number := func(query string, values ...interface{}) (n int) {
		check(query, connection.QueryRowContext(background, query, values...).Scan(&n))
		return n
	}

	var one int
	var null sql.NullString
	var text string
	check("text query", connection.QueryRowContext(background, "SELECT 1, NULL, 'é€😀'").Scan(&one, &null, &text))
	same("text", text, "é€😀")
	run("DROP TABLE IF EXISTS " + table)
	run("CREATE TABLE " + table + " (id INT PRIMARY KEY, body LONGTEXT)")

	if prepared {
		statement, err := connection.PrepareContext(background, "SELECT ? + 1, CONCAT(?, '!')")
		check("prepare", err)
		for n := 1; n <= 3; n++ {
			var sum int
			check("prepared", statement.QueryRow(n, strings.Repeat("t", n)).Scan(&sum, &text))
			same("prepared number", sum, n+1)
			same("prepared text", text, strings.Repeat("t", n)+"!")
		}
		check("close", statement.Close())
	}

	transaction, err := connection.BeginTx(background, nil)
	check("begin", err)
	_, err = transaction.Exec("INSERT INTO "+table+" VALUES (?, ?)", 1, "rolled back")
	check("insert", err)
	check("rollback", transaction.Rollback())
	same("after rollback", number("SELECT COUNT(*) FROM "+table), 0)
	transaction, err = connection.BeginTx(background, &sql.TxOptions{Isolation: sql.LevelSerializable})
	check("begin", err)
	_, err = transaction.Exec("INSERT INTO "+table+" VALUES (?, ?)", 1, "kept")
	check("insert", err)
	check("commit", transaction.Commit())
	same("after commit", number("SELECT COUNT(*) FROM "+table+" WHERE id = ?", 1), 1)

	mysql.RegisterReaderHandler("lines", func() io.Reader {
		var lines strings.Builder
		for n := 100; n < 1100; n++ {
			fmt.Fprintf(&lines, "%d\tline %d\n", n, n)
		}
		return strings.NewReader(lines.String())
	})
	run("LOAD DATA LOCAL INFILE 'Reader::lines' INTO TABLE " + table)
	same("LOCAL INFILE", number("SELECT COUNT(*) FROM "+table+" WHERE id >= 100"), 1000)

	check("40 MB row", connection.QueryRowContext(background, "SELECT REPEAT('x', 40000000)").Scan(&text))
	same("40 MB row", len(text), 40000000)
	run("INSERT INTO "+table+" VALUES (2, ?)", strings.Repeat("y", 20000000))
	same("20 MB insert", number("SELECT LENGTH(body) FROM "+table+" WHERE id = ?", 2), 20000000)

	sets(connection, "SELECT 1; SELECT 2", 1, 2)
	run("DROP PROCEDURE IF EXISTS " + table + "_two")
	run("CREATE PROCEDURE " + table + "_two(n INT) BEGIN SELECT n; SELECT n + 1; END")
	sets(connection, "CALL "+table+"_two(7)", 7, 8)

	_, err = connection.ExecContext(background, "SELEKT 1")
	fails("syntax error", err, 1064)
	_, err = connection.ExecContext(background, "INSERT INTO "+table+" VALUES (?, ?)", 1, "again")
	fails("duplicate key", err, 1062)
	same("after errors", number("SELECT 5"), 5)
	check("ping", connection.PingContext(background))
	run("DROP PROCEDURE " + table + "_two")
	run("DROP TABLE " + table)
}

func sets(connection *sql.Conn, query string, first, second int) {
	rows, err := connection.QueryContext(context.Background(), query)
	check(query, err)
	defer rows.Close()
	for place, wanted := range []int{first, second} {
		if place > 0 && !rows.NextResultSet() {
			check(query, errors.New("the second result set is missing"))
		}
		if !rows.Next() {
			check(query, errors.New("a result set is empty"))
		}
		var got int
		check(query, rows.Scan(&got))
		same(query, got, wanted)
		for rows.Next() {
		}
	}
	for rows.NextResultSet() {
	}
	check(query, rows.Err())
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
