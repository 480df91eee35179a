"""A crowd of Django's, each thread with its connection, over PyMySQL: HOST PORT USER PASSWORD CLIENTS
ROUNDS [warned]. Prints "resting" when all rest, goes on at a line of input, then prints OK."""

import pymysql

# Django asks for mysqlclient, which needs a C compiler, and for its version.
pymysql.version_info = (2, 2, 1, "final", 0)
pymysql.install_as_MySQLdb()

import django
from django.conf import settings
from django.db import connection, models, transaction

from crowd import check, host, password, port, run, user, warned

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "app",
            "USER": user,
            "PASSWORD": password,
            "HOST": host,
            "PORT": str(port),
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"ssl_disabled": True, "connect_timeout": 30},
        }
    },
    INSTALLED_APPS=[],
    USE_TZ=True,
)
django.setup()


class Crowd(models.Model):
    client = models.IntegerField()
    note = models.CharField(max_length=64)

    class Meta:
        app_label = "crowd"
        db_table = "crowd"


class Undo(Exception):
    pass


def begin(number):
    connection.ensure_connection()
    connection.is_usable()
    # What the first query of a request looks at: the backend asks the server for its features.
    check("server", connection.features.supports_transactions, True)
    mine = Crowd.objects.filter(client=number)

    def work(round):
        with transaction.atomic():
            made = Crowd.objects.create(client=number, note="new")
            try:
                with transaction.atomic():
                    Crowd.objects.create(client=number, note="lost")
                    raise Undo
            except Undo:
                pass
            locked = Crowd.objects.select_for_update().get(pk=made.pk)
            locked.note = "kept"
            locked.save()
        check("rows of this client", mine.filter(note="kept").count(), round + 1)
        check("all rows of this client", sum(1 for _ in mine.iterator()), round + 1)
        check("updated", mine.filter(pk=made.pk).update(note="kept"), 1)
        check("there", mine.exists(), True)
        check("got", Crowd.objects.get_or_create(pk=made.pk, defaults={"client": 0})[1], False)
        if warned:
            twice = [Crowd(pk=made.pk, client=number, note="twice")]
            Crowd.objects.bulk_create(twice, ignore_conflicts=True)
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s + 1", [round])
            check("raw", cursor.fetchall(), ((round + 1,),))

    return work, connection.close


run(begin)
