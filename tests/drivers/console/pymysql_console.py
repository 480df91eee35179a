"""The SQL console as a Python script sees it: HOST PORT USER PASSWORD [tls]. Prints OK, or fails."""

import sys

import pymysql

host, port, user, password = sys.argv[1:5]
tls = {"ssl": {"check_hostname": False}} if sys.argv[5:] else {"ssl_disabled": True}
connection = pymysql.connect(host=host, port=int(port), user=user, password=password, **tls)
cursor = connection.cursor(pymysql.cursors.DictCursor)
cursor.execute("SHOW CLIENTS LIKE %s", ("app",))
(client,) = cursor.fetchall()
assert client["user"] == "app" and client["state"] == "idle", client
assert client["transaction_seconds"] is None, client
cursor.execute("SHOW POOLS")
(pool,) = cursor.fetchall()
assert pool["bound"] > 0 and pool["waiting"] == 0, pool
connection.ping()
connection.commit()
try:
    cursor.execute("SHWO CLIENTS")
    raise AssertionError("a refusal")
except pymysql.err.ProgrammingError as refusal:
    assert refusal.args[0] == 1064 and "did you mean SHOW?" in refusal.args[1], refusal
connection.close()
print("OK")
