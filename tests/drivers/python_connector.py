"""MySQL Connector/Python (pure) as a client: HOST PORT USER PASSWORD [tls]. Prints OK or what went wrong."""

import sys
import tempfile

import mysql.connector
from mysql.connector import errors

host, port, user, password = sys.argv[1:5]
tls = sys.argv[5:] == ["tls"]


def connect(password=password, pure=True, tls=tls):
    return mysql.connector.connect(
        host=host,
        port=int(port),
        user=user,
        password=password,
        database="app",
        ssl_disabled=not tls,
        allow_local_infile=True,
        use_pure=pure,
        connection_timeout=30,
        charset="utf8mb4",
        collation="utf8mb4_general_ci",
    )


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"python_connector: {what}: got {got!r}, wanted {wanted!r}")


def rows(cursor, sql, parameters=()):
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def fails(cursor, sql, code):
    try:
        cursor.execute(sql)
    except errors.Error as error:
        check(f"error of {sql}", error.errno, code)
    else:
        sys.exit(f"python_connector: {sql} did not fail")


if not tls:
    # The driver cannot do the long exchange of caching_sha2_password in the clear; a server that
    # has seen the password once asks for the short one.
    connect(tls=True).close()
connection = connect()
cursor = connection.cursor()
table = f"python_connector_{'tls' if tls else 'plain'}"

check("text query", rows(cursor, "SELECT 1, NULL, 'é€😀'"), [(1, None, "é€😀")])
cursor.execute(f"DROP TABLE IF EXISTS {table}")
cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, body LONGTEXT)")

prepared = connection.cursor(prepared=True)
for number in range(1, 4):
    prepared.execute("SELECT ? + 1, ?", (number, "text" * number))
    check("prepared", prepared.fetchall(), [(number + 1, "text" * number)])
check("prepared beside text", rows(cursor, "SELECT 5"), [(5,)])
prepared.execute(f"INSERT INTO {table} VALUES (?, ?)", (1, "rolled back"))
connection.rollback()
check("after rollback", rows(cursor, f"SELECT * FROM {table}"), [])
prepared.execute(f"INSERT INTO {table} VALUES (?, ?)", (1, "kept"))
connection.commit()
prepared.execute(f"SELECT body FROM {table} WHERE id = ?", (1,))
check("after commit", prepared.fetchall(), [("kept",)])

with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
    file.writelines(f"{number}\tline {number}\n" for number in range(100, 1100))
    file.flush()
    cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {table}")
connection.commit()
check("LOCAL INFILE", rows(cursor, f"SELECT COUNT(*) FROM {table} WHERE id >= 100"), [(1000,)])

check("40 MB row", len(rows(cursor, "SELECT REPEAT('x', 40000000)")[0][0]), 40_000_000)
cursor.execute(f"INSERT INTO {table} VALUES (2, %s)", ("y" * 20_000_000,))
prepared.execute(f"INSERT INTO {table} VALUES (?, ?)", (3, b"z" * 20_000_000))
connection.commit()
check(
    "20 MB inserts",
    rows(cursor, f"SELECT LENGTH(body) FROM {table} WHERE id IN (2, 3)"),
    [(20_000_000,), (20_000_000,)],
)
prepared.close()

many = connection.cursor()
many.execute("SELECT 1; SELECT 2, 3; DO 0")
check("multi-statement, first", many.fetchall(), [(1,)])
check("multi-statement, more", many.nextset(), True)
check("multi-statement, second", many.fetchall(), [(2, 3)])
while many.nextset():
    pass
many.close()

cursor.execute(f"DROP PROCEDURE IF EXISTS {table}_two")
cursor.execute(f"CREATE PROCEDURE {table}_two(n INT, OUT m INT) BEGIN SELECT n; SELECT n + 1, 'b'; SET m = n + 2; END")
check("procedure, out parameter", cursor.callproc(f"{table}_two", (7, 0)), (7, 9))
check("procedure, sets", [result.fetchall() for result in cursor.stored_results()], [[(7,)], [(8, "b")]])

fails(cursor, "SELEKT 1", 1064)
fails(cursor, f"INSERT INTO {table} VALUES (1, 'again')", 1062)
connection.rollback()
check("after errors", rows(cursor, "SELECT 'alive'"), [("alive",)])

connection.reset_session()
check("reset", rows(cursor, "SELECT @nothing, DATABASE()"), [(None, "app")])
connection.cmd_change_user(user, password, "app")
check("change user", rows(connection.cursor(), "SELECT DATABASE()"), [("app",)])

cursor = connection.cursor()
cursor.execute(f"DROP PROCEDURE {table}_two")
cursor.execute(f"DROP TABLE {table}")
connection.close()

# The same package's C client, where it is built for this machine: another library, another accent.
if mysql.connector.HAVE_CEXT:
    connection = connect(pure=False)
    cursor = connection.cursor(prepared=True)
    cursor.execute("SELECT ?, ?", (1, "c"))
    check("C client", cursor.fetchall(), [(1, "c")])
    connection.close()

try:
    connect(password="wrong")
except errors.Error as error:
    check("wrong password", error.errno, 1045)
else:
    sys.exit("python_connector: a wrong password was let in")
print("OK")
