//! What makes a client's state unlike that of any other.

pub fn own_schema(client: usize) -> String {
    format!("tenant_{client}")
}

pub fn own_state(client: usize) -> [String; 2] {
    let modes = ["ANSI_QUOTES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "STRICT_ALL_TABLES"];
    let modes = modes.iter().enumerate().filter(|(bit, _)| client & (1 << bit) != 0);
    let mode = modes.map(|(_, name)| *name).collect::<Vec<_>>().join(",");
    [
        format!("SET time_zone = '+00:{:02}', sql_mode = '{mode}'", client + 1),
        format!("SET @tenant = {client}, @trace = 'request of client {client}'"),
    ]
}
