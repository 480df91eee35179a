// The SQL console as a tool over JDBC sees it: HOST PORT USER PASSWORD. Prints OK, or fails saying what
// went wrong.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

public final class Console {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mariadb://" + arguments[0] + ":" + arguments[1] + "/?sslMode=disable&useSsl=false";
        try (Connection connection = DriverManager.getConnection(url, arguments[2], arguments[3]);
                Statement statement = connection.createStatement()) {
            check("valid", connection.isValid(5));
            check("product", connection.getMetaData().getDatabaseProductVersion().contains("8.4.0"));
            try (ResultSet clients = statement.executeQuery("SHOW CLIENTS LIKE 'app'")) {
                check("a client", clients.next());
                check("its name", "app".equals(clients.getString("user")));
                check("its id", clients.getLong("id") >= 0x40000000L);
                clients.getLong("transaction_seconds");
                check("no transaction", clients.wasNull());
            }
            try (ResultSet databases = statement.executeQuery("SHOW DATABASES")) {
                check("no database", !databases.next());
            }
            try {
                statement.executeQuery("SHOW CLENTS");
                check("a refusal", false);
            } catch (SQLException refusal) {
                check("the nearest word: " + refusal, refusal.getMessage().contains("did you mean CLIENTS?"));
                check("its code", refusal.getErrorCode() == 1064);
            }
            connection.setAutoCommit(false);
            connection.commit();
        }
        System.out.println("OK");
    }

    private static void check(String what, boolean is) {
        if (!is) {
            throw new AssertionError(what);
        }
    }
}
