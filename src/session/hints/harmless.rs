//! Owns the list of names that a `SET` or `DO` may put before a parenthesis without a second
//! thought: built-in functions that keep nothing, functions with a hint of their own, and reserved
//! words. Never a name that somebody can create a stored function under without qualifying it.

use super::names::Names;

pub(super) fn is_harmless(name: &[u8]) -> bool {
    NAMES.find(name).is_some()
}

#[rustfmt::skip]
static NAMES: Names = Names::new(&[
    // Reserved words.
    b"all", b"and", b"any", b"as", b"between", b"binary", b"by", b"case", b"cast", b"char",
    b"collate", b"convert", b"current_date", b"current_time", b"current_timestamp", b"current_user",
    b"decimal", b"default", b"distinct", b"div", b"else", b"except", b"exists", b"from", b"group",
    b"having", b"if", b"in", b"insert", b"intersect", b"interval", b"is", b"join", b"left", b"like",
    b"limit", b"localtime", b"localtimestamp", b"mod", b"not", b"on", b"or", b"order", b"over",
    b"partition", b"regexp", b"repeat", b"replace", b"right", b"rlike", b"row", b"schema",
    b"select", b"set", b"then", b"union", b"using", b"utc_date", b"utc_time", b"utc_timestamp",
    b"values", b"varbinary", b"varchar", b"when", b"where", b"with", b"xor",
    // Functions that keep nothing.
    b"abs", b"adddate", b"addtime", b"avg", b"bit_count", b"ceil", b"ceiling", b"char_length",
    b"character_length", b"coalesce", b"concat", b"concat_ws", b"conv", b"convert_tz", b"count",
    b"crc32", b"curdate", b"curtime", b"database", b"date", b"date_add", b"date_format",
    b"date_sub", b"datediff", b"day", b"dayofmonth", b"dayofweek", b"dayofyear", b"elt", b"extract",
    b"field", b"find_in_set", b"floor", b"format", b"from_base64", b"from_days", b"from_unixtime",
    b"greatest", b"group_concat", b"hex", b"hour", b"ifnull", b"inet_aton", b"inet_ntoa", b"instr",
    b"isnull", b"json_array", b"json_extract", b"json_object", b"json_set", b"json_unquote",
    b"last_day", b"lcase", b"least", b"length", b"locate", b"lower", b"lpad", b"ltrim", b"makedate",
    b"max", b"md5", b"mid", b"min", b"minute", b"month", b"now", b"nullif", b"octet_length",
    b"position", b"pow", b"power", b"quote", b"rand", b"reverse", b"round", b"rpad", b"rtrim",
    b"second", b"session_user", b"sha", b"sha1", b"sha2", b"sign", b"sleep", b"space", b"sqrt",
    b"str_to_date", b"strcmp", b"subdate", b"substr", b"substring", b"substring_index", b"subtime",
    b"sum", b"sysdate", b"system_user", b"time", b"time_to_sec", b"timediff", b"timestamp",
    b"timestampadd", b"timestampdiff", b"to_base64", b"to_days", b"trim", b"truncate", b"ucase",
    b"unhex", b"unix_timestamp", b"upper", b"user", b"uuid", b"uuid_short", b"version", b"week",
    b"weekday", b"year",
    // Functions with a hint of their own; the native ones only, for a loadable function's name
    // can also be a stored function's.
    b"connection_id", b"found_rows", b"get_lock", b"is_free_lock", b"is_used_lock",
    b"last_insert_id", b"release_all_locks", b"release_lock", b"row_count",
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        assert!(is_harmless(b"CONCAT_WS"));
        assert!(is_harmless(b"if"));
        assert!(is_harmless(b"Get_Lock"));
        assert!(!is_harmless(b"my_function"));
        assert!(!is_harmless(b""));
        assert!(!is_harmless(&[b'a'; 200]));
    }
}
