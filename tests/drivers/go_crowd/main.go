// A crowd of go-sql-driver's, prepared on the server: HOST PORT USER PASSWORD CLIENTS ROUNDS. Prints
// "resting" when all rest, goes on at a line of input, then prints OK.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

var background = context.Background()

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "go: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func pause() {
	time.Sleep(50*time.Millisecond + time.Duration(rand.Int63n(int64(250*time.Millisecond))))
}

func main() {
	host, port, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	clients, err := strconv.Atoi(os.Args[5])
	check("CLIENTS", err)
	rounds, err := strconv.Atoi(os.Args[6])
	check("ROUNDS", err)
	// As most write it: times are UTC, and the session says so.
	database, err := sql.Open("mysql", fmt.Sprintf(
		"%s:%s@tcp(%s:%s)/app?parseTime=true&loc=UTC&time_zone=%%27%%2B00%%3A00%%27", user, password, host, port))
	check("open", err)
	database.SetMaxIdleConns(clients)

	var resting, over sync.WaitGroup
	again := make(chan struct{})
	resting.Add(clients)
	over.Add(clients)
	for number := 0; number < clients; number++ {
		go live(database, number, rounds, &resting, &over, again)
	}
	resting.Wait()
	fmt.Println("resting")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	close(again)
	over.Wait()
	check("close", database.Close())
	fmt.Println("OK")
}

func live(database *sql.DB, number, rounds int, resting, over *sync.WaitGroup, again chan struct{}) {
	defer over.Done()
	connection, err := database.Conn(background)
	check("connect", err)
	// Kept by the client for as long as it is connected.
	count, err := connection.PrepareContext(background, "SELECT COUNT(*) FROM crowd WHERE client = ?")
	check("prepare", err)
	pause()
	// Every other one rests early and long, while the rest go on.
	early := rounds
	if number%2 != 0 {
		early = 2 * rounds
	}
	for round := 0; round < early; round++ {
		work(connection, count, number, round)
		pause()
	}
	resting.Done()
	<-again
	work(connection, count, number, early)
	check("close statement", count.Close())
	check("close", connection.Close())
}

func work(connection *sql.Conn, count *sql.Stmt, number, round int) {
	transaction, err := connection.BeginTx(background, nil)
	check("begin", err)
	made, err := transaction.Exec("INSERT INTO crowd (client, note) VALUES (?, ?)", number, "new")
	check("insert", err)
	id, err := made.LastInsertId()
	check("id", err)
	_, err = transaction.Exec("UPDATE crowd SET note = ? WHERE id = ?", "kept", id)
	check("update", err)
	check("commit", transaction.Commit())

	transaction, err = connection.BeginTx(background, nil)
	check("begin", err)
	_, err = transaction.Exec("INSERT INTO crowd (client, note) VALUES (?, 'lost')", number)
	check("insert", err)
	check("rollback", transaction.Rollback())

	var rows int
	check("count", count.QueryRow(number).Scan(&rows))
	if rows != round+1 {
		check("count", fmt.Errorf("client %d: got %d, wanted %d", number, rows, round+1))
	}
	var zone, note string
	check("zone", connection.QueryRowContext(background, "SELECT @@session.time_zone").Scan(&zone))
	if zone != "+00:00" {
		check("zone", fmt.Errorf("got %s", zone))
	}
	check("read", connection.QueryRowContext(background, "SELECT note FROM crowd WHERE id = ?", id).Scan(&note))
	if note != "kept" {
		check("read", fmt.Errorf("got %s", note))
	}
	check("ping", connection.PingContext(background))
}
