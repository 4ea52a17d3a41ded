//! Columns of text.

/// Lines with aligned columns, two spaces apart. Columns listed in `right` are right-aligned.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[column] - cell.chars().count());
            if right.contains(&column) {
                line += &gap;
                line += cell;
            } else {
                line += cell;
                line += &gap;
            }
            line += "  ";
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `1x224x224x3`; a scalar is `scalar`.
pub fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    dims.join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "1"]), row(["bcd", "100"])];
        assert_eq!(table(&rows, &[1]), "a      1\nbcd  100\n");
        assert_eq!(table(&rows, &[]), "a    1\nbcd  100\n");
        assert_eq!(shape(&[1, 2, 3]), "1x2x3");
    }
}
