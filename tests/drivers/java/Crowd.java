// A crowd of MariaDB Connector/J's: HOST PORT USER PASSWORD CLIENTS ROUNDS. Prints "resting" when all
// rest, goes on at a line of input, then prints OK.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;

final class Crowd {
    private static int rounds;
    private static String url;
    private static CountDownLatch resting;
    private static final CountDownLatch again = new CountDownLatch(1);

    public static void main(String[] arguments) throws Exception {
        int clients = Integer.parseInt(arguments[4]);
        rounds = Integer.parseInt(arguments[5]);
        url = "jdbc:mariadb://" + arguments[0] + ":" + arguments[1] + "/app?user=" + arguments[2] + "&password="
                + arguments[3] + "&allowPublicKeyRetrieval=true&connectTimeout=60000";
        resting = new CountDownLatch(clients);
        List<Thread> threads = new ArrayList<>();
        for (int number = 0; number < clients; number++) {
            int mine = number;
            Thread thread = new Thread(null, () -> live(mine), "client " + number, 256 * 1024);
            thread.start();
            threads.add(thread);
        }
        resting.await();
        System.out.println("resting");
        System.in.read();
        again.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("OK");
    }

    private static void live(int number) {
        // Every other one prepares on the server.
        String option = "&useServerPrepStmts=" + (number / 2 % 2 == 0);
        try (Connection connection = DriverManager.getConnection(url + option)) {
            pause();
            // Every other one rests early and long, while the rest go on.
            int early = number % 2 == 0 ? rounds : 2 * rounds;
            for (int round = 0; round < early; round++) {
                work(connection, number, round);
                pause();
            }
            resting.countDown();
            again.await();
            work(connection, number, early);
        } catch (Throwable wrong) {
            System.err.println("client " + number + ": " + wrong);
            wrong.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void pause() throws InterruptedException {
        Thread.sleep(ThreadLocalRandom.current().nextInt(50, 300));
    }

    private static void work(Connection connection, int number, int round) throws Exception {
        connection.setAutoCommit(false);
        long id = insert(connection, number, "new");
        try (PreparedStatement update = connection.prepareStatement("UPDATE crowd SET note = ? WHERE id = ?")) {
            update.setString(1, "kept");
            update.setLong(2, id);
            check("updated", update.executeUpdate(), 1);
        }
        connection.commit();
        insert(connection, number, "lost");
        connection.rollback();
        connection.setAutoCommit(true);

        String count = "SELECT COUNT(*) FROM crowd WHERE client = ?";
        try (PreparedStatement query = connection.prepareStatement(count)) {
            query.setInt(1, number);
            try (ResultSet rows = query.executeQuery()) {
                check("a row", rows.next(), true);
                check("rows of this client", rows.getInt(1), round + 1);
            }
        }
        try (Statement text = connection.createStatement();
                ResultSet rows = text.executeQuery("SELECT " + round + " + 1")) {
            check("a row", rows.next(), true);
            check("text", rows.getInt(1), round + 1);
        }
        // As a pool asks before it lends one.
        check("valid", connection.isValid(30), true);
    }

    private static long insert(Connection connection, int number, String note) throws Exception {
        String sql = "INSERT INTO crowd (client, note) VALUES (?, ?)";
        try (PreparedStatement insert = connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
            insert.setInt(1, number);
            insert.setString(2, note);
            insert.executeUpdate();
            try (ResultSet keys = insert.getGeneratedKeys()) {
                check("a key", keys.next(), true);
                return keys.getLong(1);
            }
        }
    }

    private static void check(String what, Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new IllegalStateException(what + ": got " + got + ", wanted " + wanted);
        }
    }
}
