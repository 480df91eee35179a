//! The medians of all rounds, as tables that can be put into docs/benchmarks.md.

use std::time::Duration;

use crate::{
    calls::Calls,
    clients::Protocol,
    site::{Figures, Site},
};

/// One way, one protocol, every round.
pub struct Column<'a> {
    pub site: &'a Site,
    pub rounds: &'a [Figures],
    pub calls: Option<Calls>,
}

/// The first column is what the ratios are to.
pub fn print(protocol: Protocol, columns: &[Column<'_>]) {
    println!(
        "\n| {} | queries/s | to straight | p50 ms | p99 ms | CPU µs a query | system calls a query | borrows |",
        protocol.name()
    );
    println!("|---|---|---|---|---|---|---|---|");
    for column in columns {
        let of = |figure: fn(&Figures) -> f64| median(column.rounds.iter().map(figure).collect());
        let rounds = columns[0].rounds.iter().zip(column.rounds);
        let ratio = median(rounds.map(|(first, this)| this.a_second / first.a_second).collect());
        let through = !ways(column.rounds).is_empty();
        let cpu = if through { format!("{:.0}", of(|it| it.cpu)) } else { "–".to_owned() };
        let calls = column.calls.map_or("–".to_owned(), |calls| {
            format!("{:.1}, and {:.1} that wait", calls.others, calls.waiting)
        });
        println!(
            "| {} | {:.0} | {ratio:.2} | {:.2} | {:.2} | {cpu} | {calls} | {} |",
            column.site.name,
            of(|it| it.a_second),
            of(|it| milliseconds(it.p50)),
            of(|it| milliseconds(it.p99)),
            ways(column.rounds),
        );
    }
}

/// One column's CPU against another's, round by round: median, least and most.
pub fn print_ratio(label: &str, this: &[Figures], that: &[Figures]) {
    let pairs = this.iter().zip(that);
    let mut ratios: Vec<f64> = pairs.map(|(this, that)| this.cpu / that.cpu).collect();
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    println!("CPU a query, {label}: × {:.2} ({least:.2} to {most:.2})", median(ratios));
}

/// Those that came up at all, in percent of the borrows.
fn ways(rounds: &[Figures]) -> String {
    let names = rounds.iter().flat_map(|round| round.ways.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    let share = |name: &String| {
        median(rounds.iter().map(|round| round.ways.get(name).copied().unwrap_or(0.0)).collect())
    };
    let shares = names.into_iter().map(|name| (name, share(name)));
    let shown = shares.filter(|(_, share)| *share >= 0.05);
    shown.map(|(name, share)| format!("{share:.1} % {name}")).collect::<Vec<_>>().join(", ")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
