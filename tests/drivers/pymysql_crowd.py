"""A crowd of PyMySQL's clients, autocommit off as it is by default: HOST PORT USER PASSWORD CLIENTS
ROUNDS [warned]. Prints "resting" when all rest, goes on at a line of input, then prints OK."""

import pymysql

from crowd import check, host, password, port, run, user, warned


def begin(number):
    connection = pymysql.connect(
        host=host,
        port=port,
        user=user,
        password=password,
        database="app",
        connect_timeout=30,
        ssl_disabled=True,
    )
    cursor = connection.cursor()

    def rows(sql, *parameters):
        cursor.execute(sql, parameters)
        return cursor.fetchall()

    def work(round):
        cursor.execute("INSERT INTO crowd (client, note) VALUES (%s, %s)", (number, "new"))
        mine = cursor.lastrowid
        check("LAST_INSERT_ID", rows("SELECT LAST_INSERT_ID()"), ((mine,),))
        check("updated", cursor.execute("UPDATE crowd SET note = %s WHERE id = %s", ("kept", mine)), 1)
        connection.commit()
        cursor.execute("INSERT INTO crowd (client, note) VALUES (%s, 'lost')", (number,))
        connection.rollback()
        count = rows("SELECT COUNT(*) FROM crowd WHERE client = %s AND note = 'kept'", number)
        check("rows of this client", count, ((round + 1,),))
        connection.commit()
        if warned:
            cursor.execute("INSERT IGNORE INTO crowd (id, client, note) VALUES (%s, 0, 'twice')", (mine,))
            connection.commit()
            cursor.execute("CREATE TABLE IF NOT EXISTS crowd (id INT)")
            return
        # Without a commit after it, as of one who forgets: no table is read, no transaction begins.
        check("outside a transaction", rows("SELECT %s + 1", round), ((round + 1,),))

    return work, connection.close


run(begin)
