"""PyMySQL and Connector/Python with a token for a password: HOST PORT USER TOKEN. Prints OK, or fails
saying what went wrong."""

import ssl
import sys

import mysql.connector
import pymysql

host, port, user, token = sys.argv[1:5]

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
connections = [
    pymysql.connect(
        host=host, port=int(port), user=user, password=token, database="app", ssl=context
    ),
    mysql.connector.connect(
        host=host,
        port=int(port),
        user=user,
        password=token,
        database="app",
        auth_plugin="mysql_clear_password",
        ssl_verify_cert=False,
        use_pure=True,
    ),
]
for connection in connections:
    cursor = connection.cursor()
    cursor.execute("SELECT 40 + 2")
    (answer,) = cursor.fetchone()
    if answer != 42:
        sys.exit(f"{type(connection)}: got {answer!r}")
    connection.close()
print("OK")
