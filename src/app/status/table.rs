//! Text in columns that line up.

pub(super) struct Table {
    /// Of each column: its head, and whether it holds numbers.
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

const GAP: &str = "  ";

impl Table {
    /// A head that begins with `>` is one of numbers, which are set to the right.
    pub fn new(heads: &[&'static str]) -> Self {
        let column = |head: &&'static str| match head.strip_prefix('>') {
            Some(head) => (head, true),
            None => (*head, false),
        };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn text(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |at: usize| {
            lines().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..self.columns.len()).filter_map(width).collect();
        let mut text = String::new();
        for line in lines() {
            let cells = line.iter().zip(&self.columns).zip(&widths);
            let cells = cells.map(|((cell, (_, numbers)), width)| {
                if *numbers { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", ">USED", "WHERE"]);
        table.row(["é".to_owned(), "1,024".to_owned(), "here".to_owned()]);
        table.row(["second".to_owned(), "7".to_owned(), String::new()]);
        assert_eq!(table.text(), "NAME     USED  WHERE\né       1,024  here\nsecond      7\n");
    }
}
