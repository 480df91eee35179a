"""PyMySQL as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or fails saying what went wrong."""

import os
import ssl
import sys
import tempfile

import pymysql

host, port, user, password = sys.argv[1:5]
tls = sys.argv[5:] == ["tls"]
BIG = 1 << 30


def connect():
    context = None
    if tls:
        # The certificate is the test's own; that the wire is TLS is what is tried here.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return pymysql.connect(
        host=host,
        port=int(port),
        user=user,
        password=password,
        database="app",
        ssl=context,
        ssl_disabled=not tls,
        local_infile=True,
        max_allowed_packet=BIG,
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
        connect_timeout=30,
    )


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"pymysql: {what}: got {got!r}, wanted {wanted!r}")


def rows(cursor, sql, *parameters):
    cursor.execute(sql, parameters or None)
    return cursor.fetchall()


def fails(cursor, sql, code):
    try:
        cursor.execute(sql)
    except pymysql.MySQLError as error:
        check(f"error of {sql}", error.args[0], code)
    else:
        sys.exit(f"pymysql: {sql} did not fail")


connection = connect()
cursor = connection.cursor()
table = f"pymysql_{'tls' if tls else 'plain'}"

check("text query", rows(cursor, "SELECT 1, NULL, 'é€😀'"), ((1, None, "é€😀"),))
check("TLS", bool(rows(cursor, "SHOW STATUS LIKE 'Ssl_cipher'")) and connection._secure, tls)
cursor.execute(f"DROP TABLE IF EXISTS {table}")
cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, body LONGTEXT)")

cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (1, "rolled back"))
connection.rollback()
check("after rollback", rows(cursor, f"SELECT * FROM {table}"), ())
cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (1, "kept"))
connection.commit()
check("after commit", rows(cursor, f"SELECT * FROM {table} WHERE id = %s", 1), ((1, "kept"),))

with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
    file.writelines(f"{number}\tline {number}\n" for number in range(100, 1100))
    file.flush()
    cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {table}")
connection.commit()
check("LOCAL INFILE", rows(cursor, f"SELECT COUNT(*) FROM {table} WHERE id >= 100"), ((1000,),))
fails(cursor, f"LOAD DATA LOCAL INFILE '/nowhere/{os.getpid()}' INTO TABLE {table}", 1017)
check("after a missing file", rows(cursor, "SELECT 2"), ((2,),))

check("40 MB row", len(rows(cursor, "SELECT REPEAT('x', 40000000)")[0][0]), 40_000_000)
cursor.execute(f"INSERT INTO {table} VALUES (2, %s)", ("y" * 20_000_000,))
connection.commit()
check("20 MB insert", rows(cursor, f"SELECT LENGTH(body) FROM {table} WHERE id = 2"), ((20_000_000,),))

cursor.execute("SELECT 1; SELECT 2, 3; DO 0")
check("multi-statement, first", cursor.fetchall(), ((1,),))
check("multi-statement, more", cursor.nextset(), True)
check("multi-statement, second", cursor.fetchall(), ((2, 3),))
check("multi-statement, third", (cursor.nextset(), cursor.description), (True, None))
check("multi-statement, end", cursor.nextset(), None)

cursor.execute(f"DROP PROCEDURE IF EXISTS {table}_two")
cursor.execute(f"CREATE PROCEDURE {table}_two(n INT) BEGIN SELECT n; SELECT n + 1, 'b'; END")
cursor.callproc(f"{table}_two", (7,))
check("procedure, first", cursor.fetchall(), ((7,),))
cursor.nextset()
check("procedure, second", cursor.fetchall(), ((8, "b"),))
while cursor.nextset():
    pass

fails(cursor, "SELEKT 1", 1064)
fails(cursor, f"INSERT INTO {table} VALUES (1, 'again')", 1062)
check("after errors", rows(cursor, "SELECT 'alive'"), (("alive",),))

streaming = connection.cursor(pymysql.cursors.SSCursor)
streaming.execute(f"SELECT id FROM {table} WHERE id >= 100 ORDER BY id")
check("unbuffered rows", sum(1 for _ in streaming), 1000)
streaming.close()

cursor.execute(f"DROP PROCEDURE {table}_two")
cursor.execute(f"DROP TABLE {table}")
connection.close()

try:
    password = "wrong"
    connect()
except pymysql.MySQLError as error:
    check("wrong password", error.args[0], 1045)
else:
    sys.exit("pymysql: a wrong password was let in")
print("OK")
