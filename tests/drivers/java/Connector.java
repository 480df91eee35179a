// MariaDB Connector/J as a client: HOST PORT USER PASSWORD [tls]. Prints OK, or fails saying what went
// wrong. Only JDBC is used, so that it runs on each version of the driver.

import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;

final class Connector {
    private static String base;
    private static String table;
    private static Connection connection;

    interface Work {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        boolean tls = arguments.length > 4;
        base = "jdbc:mariadb://" + arguments[0] + ":" + arguments[1] + "/app?user=" + arguments[2]
                + "&allowPublicKeyRetrieval=true&allowLocalInfile=true&allowMultiQueries=true"
                + "&maxAllowedPacket=1073741824&connectTimeout=30000"
                + (tls ? "&useSsl=true&trustServerCertificate=true" : "") + "&password=";
        String password = arguments[3];
        String[] ways = {"", "&useServerPrepStmts=true", "&useServerPrepStmts=true&useBulkStmts=true",
            "&rewriteBatchedStatements=true", "&useCursorFetch=true&defaultFetchSize=10&useServerPrepStmts=true"};
        for (int way = 0; way < ways.length; way++) {
            table = "java_" + (tls ? "tls_" : "plain_") + way;
            try (Connection opened = DriverManager.getConnection(base + password + ways[way])) {
                connection = opened;
                everything();
                // What takes seconds goes once as text and once prepared.
                if (way < 2) {
                    step("large", Connector::large);
                    step("timeouts", Connector::timeouts);
                }
                run("DROP TABLE " + table);
            } catch (Exception wrong) {
                throw new IllegalStateException("with '" + ways[way] + "': " + wrong.getMessage(), wrong);
            }
        }
        fails("a wrong password", 1045, () -> DriverManager.getConnection(base + "wrong").close());
        System.out.println("OK");
    }

    private static void everything() throws Exception {
        run("DROP TABLE IF EXISTS " + table);
        run("CREATE TABLE " + table + " (id INT PRIMARY KEY AUTO_INCREMENT, body LONGTEXT)");
        step("queries", Connector::queries);
        step("transactions", Connector::transactions);
        step("settings", Connector::settings);
        step("keys", Connector::generatedKeys);
        step("batch", Connector::batches);
        step("stream", Connector::streamed);
        step("local infile", Connector::localInfile);
        step("warnings", Connector::warnings);
        step("routines", Connector::routines);
        step("metadata", Connector::metadata);
        step("errors", Connector::errors);
    }

    private static void queries() throws Exception {
        try (Statement text = connection.createStatement();
                ResultSet rows = text.executeQuery("SELECT 1, NULL, 'é€😀'")) {
            same("a row", rows.next(), true);
            same("number", rows.getInt(1), 1);
            same("null", rows.getString(2), null);
            same("text", rows.getString(3), "é€😀");
        }
        try (PreparedStatement sum = connection.prepareStatement("SELECT ? + 1, CONCAT(?, '!')");
                PreparedStatement other = connection.prepareStatement("SELECT ?")) {
            for (int number = 1; number < 4; number++) {
                sum.setInt(1, number);
                sum.setString(2, "text");
                other.setLong(1, 1L << 40);
                try (ResultSet rows = sum.executeQuery()) {
                    same("a row", rows.next(), true);
                    same("sum", rows.getInt(1), number + 1);
                    same("text", rows.getString(2), "text!");
                }
                try (ResultSet rows = other.executeQuery()) {
                    same("a row", rows.next(), true);
                    same("long", rows.getLong(1), 1L << 40);
                }
            }
        }
        try (Statement several = connection.createStatement()) {
            same("rows first", several.execute("SELECT 1; DO 0; SELECT 2"), true);
            same("then none", several.getMoreResults(), false);
            same("then rows", several.getMoreResults(), true);
            try (ResultSet rows = several.getResultSet()) {
                same("a row", rows.next(), true);
                same("the second", rows.getInt(1), 2);
            }
        }
    }

    private static void transactions() throws Exception {
        connection.setAutoCommit(false);
        insert("rolled back");
        connection.rollback();
        insert("kept");
        Savepoint savepoint = connection.setSavepoint("here");
        insert("undone");
        connection.rollback(savepoint);
        connection.commit();
        connection.setAutoCommit(true);
        same("after the commit", number("SELECT COUNT(*) FROM " + table), 1L);
        same("kept", number("SELECT COUNT(*) FROM " + table + " WHERE body = 'kept'"), 1L);
    }

    private static void settings() throws Exception {
        for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_READ_COMMITTED,
            Connection.TRANSACTION_REPEATABLE_READ}) {
            connection.setTransactionIsolation(level);
            same("isolation", connection.getTransactionIsolation(), level);
            number("SELECT COUNT(*) FROM " + table);
        }
        connection.setReadOnly(true);
        same("read only", connection.isReadOnly(), true);
        same("a read", number("SELECT COUNT(*) FROM " + table), 1L);
        connection.setReadOnly(false);
        insert("after read only");
        connection.setCatalog("information_schema");
        same("catalog", connection.getCatalog(), "information_schema");
        number("SELECT COUNT(*) FROM SCHEMATA");
        connection.setCatalog("app");
        same("catalog", connection.getCatalog(), "app");
        same("schema", number("SELECT DATABASE() = 'app'"), 1L);
        same("valid", connection.isValid(10), true);
    }

    private static void generatedKeys() throws Exception {
        long last = number("SELECT MAX(id) FROM " + table);
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO " + table + " (body) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "numbered");
            same("inserted", insert.executeUpdate(), 1);
            try (ResultSet keys = insert.getGeneratedKeys()) {
                same("a key", keys.next(), true);
                same("above the last", keys.getLong(1) > last, true);
                same("LAST_INSERT_ID", number("SELECT LAST_INSERT_ID()"), keys.getLong(1));
            }
        }
    }

    private static void batches() throws Exception {
        String insert = "INSERT INTO " + table + " (id, body) VALUES (?, ?)";
        try (PreparedStatement batch = connection.prepareStatement(insert)) {
            for (int round = 0; round < 2; round++) {
                for (int number = 0; number < 100; number++) {
                    batch.setInt(1, 1000 + round * 100 + number);
                    batch.setString(2, number % 7 == 0 ? null : "batch " + number);
                    batch.addBatch();
                }
                same("of the batch", batch.executeBatch().length, 100);
            }
        }
        same("batched", number("SELECT COUNT(*) FROM " + table + " WHERE id BETWEEN 1000 AND 1199"), 200L);
        same("nulls", number("SELECT COUNT(*) FROM " + table + " WHERE id >= 1000 AND body IS NULL"), 30L);
        try (Statement batch = connection.createStatement()) {
            batch.addBatch("UPDATE " + table + " SET body = 'u' WHERE id < 1010 AND id >= 1000");
            batch.addBatch("DELETE FROM " + table + " WHERE id BETWEEN 1000 AND 1199");
            same("counts", Arrays.toString(batch.executeBatch()), "[10, 200]");
        }
    }

    private static void streamed() throws Exception {
        StringBuilder insert = new StringBuilder("INSERT INTO " + table + " (id, body) VALUES (2000, 'x')");
        for (int number = 2001; number < 3000; number++) {
            insert.append(",(").append(number).append(",'x')");
        }
        run(insert.toString());
        String query = "SELECT id FROM " + table + " WHERE id >= ? ORDER BY id";
        try (PreparedStatement stream = connection.prepareStatement(query)) {
            stream.setFetchSize(10);
            stream.setInt(1, 2000);
            for (int wanted : new int[] {15, 1000}) {
                try (ResultSet rows = stream.executeQuery()) {
                    int read = 0;
                    while (read < wanted && rows.next()) {
                        same("in order", rows.getInt(1), 2000 + read);
                        read++;
                    }
                    same("read", read, wanted);
                }
                same("beside it", number("SELECT 5"), 5L);
            }
        }
        run("DELETE FROM " + table + " WHERE id >= 2000");
    }

    private static void localInfile() throws Exception {
        Path file = Files.createTempFile("tidegate", ".tsv");
        try {
            StringBuilder lines = new StringBuilder();
            for (int number = 5000; number < 6000; number++) {
                lines.append(number).append("\tline ").append(number).append('\n');
            }
            Files.writeString(file, lines);
            run("LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE " + table);
        } finally {
            Files.delete(file);
        }
        same("loaded", number("SELECT COUNT(*) FROM " + table + " WHERE id >= 5000"), 1000L);
        run("DELETE FROM " + table + " WHERE id >= 5000");
    }

    private static void large() throws Exception {
        try (Statement text = connection.createStatement();
                ResultSet rows = text.executeQuery("SELECT REPEAT('x', 40000000)")) {
            same("a row", rows.next(), true);
            same("40 MB", rows.getString(1).length(), 40_000_000);
        }
        String insert = "INSERT INTO " + table + " (id, body) VALUES (?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(insert)) {
            byte[] big = new byte[20_000_000];
            Arrays.fill(big, (byte) 'y');
            statement.setInt(1, 7000);
            statement.setBinaryStream(2, new ByteArrayInputStream(big));
            same("20 MB as a stream", statement.executeUpdate(), 1);
        }
        same("its length", number("SELECT LENGTH(body) FROM " + table + " WHERE id = 7000"), 20_000_000L);
        run("DELETE FROM " + table + " WHERE id = 7000");
    }

    private static void warnings() throws Exception {
        long id = number("SELECT MIN(id) FROM " + table);
        try (Statement text = connection.createStatement()) {
            text.executeUpdate("INSERT IGNORE INTO " + table + " (id) VALUES (" + id + ")");
            // Asked for once: the driver forgets that there are any when it has read them.
            SQLWarning warning = text.getWarnings();
            same("a warning", warning != null, true);
            same("its code", warning.getErrorCode(), 1062);
            text.executeUpdate("UPDATE " + table + " SET body = 'kept' WHERE id = " + id);
            same("none", text.getWarnings(), null);
        }
        try (PreparedStatement ignored =
                connection.prepareStatement("INSERT IGNORE INTO " + table + " (id) VALUES (?)")) {
            ignored.setLong(1, id);
            same("ignored", ignored.executeUpdate(), 0);
            SQLWarning warning = connection.getWarnings();
            same("of the connection", warning != null && warning.getErrorCode() == 1062, true);
            connection.clearWarnings();
        }
    }

    private static void routines() throws Exception {
        run("DROP PROCEDURE IF EXISTS " + table + "_p");
        run("DROP FUNCTION IF EXISTS " + table + "_f");
        run("CREATE PROCEDURE " + table + "_p(IN n INT, INOUT m INT, OUT t VARCHAR(20)) "
                + "BEGIN SELECT n; SET m = m + n; SET t = CONCAT('t', n); END");
        run("CREATE FUNCTION " + table + "_f(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN n * 2");
        try (CallableStatement call = connection.prepareCall("{call " + table + "_p(?, ?, ?)}")) {
            for (int number = 1; number < 3; number++) {
                call.setInt(1, number);
                call.setInt(2, 40);
                call.registerOutParameter(2, Types.INTEGER);
                call.registerOutParameter(3, Types.VARCHAR);
                same("rows", call.execute(), true);
                try (ResultSet rows = call.getResultSet()) {
                    same("a row", rows.next(), true);
                    same("in", rows.getInt(1), number);
                }
                same("inout", call.getInt(2), 40 + number);
                same("out", call.getString(3), "t" + number);
            }
        }
        try (CallableStatement call = connection.prepareCall("{? = call " + table + "_f(?)}")) {
            call.registerOutParameter(1, Types.INTEGER);
            call.setInt(2, 21);
            call.execute();
            same("returned", call.getInt(1), 42);
        }
        run("DROP PROCEDURE " + table + "_p");
        run("DROP FUNCTION " + table + "_f");
    }

    private static void metadata() throws Exception {
        try (ResultSet columns = connection.getMetaData().getColumns("app", null, table, "%")) {
            same("a column", columns.next(), true);
            same("id", columns.getString("COLUMN_NAME"), "id");
        }
        try (ResultSet keys = connection.getMetaData().getPrimaryKeys("app", null, table)) {
            same("a key", keys.next(), true);
        }
        same("version", connection.getMetaData().getDatabaseMajorVersion() > 5, true);
    }

    private static void timeouts() throws Exception {
        try (Statement slow = connection.createStatement()) {
            slow.setQueryTimeout(1);
            long began = System.nanoTime();
            try {
                slow.executeQuery("SELECT id, SLEEP(20) FROM " + table + " LIMIT 1").close();
            } catch (SQLException expected) {
                // Some servers answer an interrupted SLEEP with a row.
            }
            long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - began);
            same("the timeout ended it, after " + seconds, seconds < 10, true);
        }
        same("alive", number("SELECT 7"), 7L);
    }

    private static void errors() throws Exception {
        fails("a syntax error", 1064, () -> run("SELEKT 1"));
        long id = number("SELECT MIN(id) FROM " + table);
        fails("a duplicate", 1062, () -> run("INSERT INTO " + table + " (id) VALUES (" + id + ")"));
        fails("a prepared error", 1146, () -> {
            try (PreparedStatement none = connection.prepareStatement("SELECT * FROM none WHERE id = ?")) {
                none.setInt(1, 1);
                none.executeQuery().close();
            }
        });
        same("alive", number("SELECT 8"), 8L);
    }

    private static void insert(String body) throws SQLException {
        try (PreparedStatement insert =
                connection.prepareStatement("INSERT INTO " + table + " (body) VALUES (?)")) {
            insert.setString(1, body);
            same("inserted", insert.executeUpdate(), 1);
        }
    }

    private static void run(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private static long number(String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            same("a row of " + sql, rows.next(), true);
            return rows.getLong(1);
        }
    }

    private static void fails(String what, int code, Work work) throws Exception {
        try {
            work.run();
        } catch (SQLException wrong) {
            same(what, wrong.getErrorCode(), code);
            return;
        }
        throw new IllegalStateException(what + " did not fail");
    }

    private static void step(String what, Work work) throws Exception {
        try {
            work.run();
        } catch (Exception wrong) {
            throw new IllegalStateException(what + ": " + wrong.getMessage(), wrong);
        }
    }

    private static void same(String what, Object got, Object wanted) {
        if (got == null ? wanted != null : !got.equals(wanted)) {
            throw new IllegalStateException(what + ": got " + got + ", wanted " + wanted);
        }
    }
}
