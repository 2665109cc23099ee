//! How Java writes a `double`.

/// Appends what Jackson writes for a `double`: the text of `Double.toString` since Java 19 (the
/// shortest that reads back as the same number, with at least one digit on each side of the point),
/// quoted where it is no number.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    let text = if value.is_nan() {
        "\"NaN\"".to_owned()
    } else if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("\"{sign}Infinity\"")
    } else {
        finite(value)
    };
    out.extend_from_slice(text.as_bytes());
}

fn finite(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let magnitude = value.abs();
    if (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = scientific(value);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

/// Java chooses among numbers of at least two digits, and so writes 4.9E-324 where one digit
/// (5e-324) would do.
fn scientific(value: f64) -> String {
    let shortest = format!("{value:e}");
    if shortest.contains('.') {
        return shortest;
    }
    let two_digits = format!("{value:.1e}");
    if two_digits.parse() == Ok(value) { two_digits } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_double(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn exponents_begin_at_ten_million_and_below_a_thousandth() {
        assert_eq!(text(9_999_999.0), "9999999.0");
        assert_eq!(text(1e7), "1.0E7");
        assert_eq!(text(1e10), "1.0E10");
        assert_eq!(text(-12_345_678.9), "-1.23456789E7");
        assert_eq!(text(0.001), "0.001");
        assert_eq!(text(0.000_999_9), "9.999E-4");
    }

    #[test]
    fn the_shortest_text_has_at_least_two_digits() {
        assert_eq!(text(f64::from_bits(1)), "4.9E-324");
        assert_eq!(text(1e23), "1.0E23");
        assert_eq!(text(2e23), "2.0E23");
        assert_eq!(text(100.0), "100.0");
    }

    #[test]
    fn what_is_no_number_is_quoted() {
        assert_eq!(text(f64::INFINITY), "\"Infinity\"");
        assert_eq!(text(f64::NEG_INFINITY), "\"-Infinity\"");
        assert_eq!(text(f64::NAN), "\"NaN\"");
        assert_eq!(text(-0.0), "-0.0");
    }
}
