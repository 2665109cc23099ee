//! Functions that several detectors share.

/// Mean and deviation (of the whole, not of a sample); zeros for nothing.
pub fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The share of a normal distribution that lies above `deviations`, which is not negative.
///
/// The complementary error function by a rational Chebyshev fit: off by 1.2e-7 of itself at most.
pub fn tail(deviations: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let x = deviations / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let exponent = FIT.iter().rev().fold(0.0, |sum, factor| sum * t + factor);
    0.5 * t * (exponent - x * x).exp()
}

/// The Fourier transform in place, or its inverse; the length is a power of two (Cooley and Tukey).
pub fn fourier(real: &mut [f64], imaginary: &mut [f64], inverse: bool) {
    let count = real.len();
    let bits = count.trailing_zeros();
    for index in 0..count {
        let mirrored = index.reverse_bits() >> (usize::BITS - bits);
        if index < mirrored {
            real.swap(index, mirrored);
            imaginary.swap(index, mirrored);
        }
    }
    let sign = if inverse { 1.0 } else { -1.0 };
    let mut width = 2;
    while width <= count {
        let (sine, cosine) = (sign * std::f64::consts::TAU / width as f64).sin_cos();
        for start in (0..count).step_by(width) {
            let (mut factor, half) = ((1.0, 0.0), width / 2);
            for low in start..start + half {
                let high = low + half;
                let turned = (
                    real[high] * factor.0 - imaginary[high] * factor.1,
                    real[high] * factor.1 + imaginary[high] * factor.0,
                );
                (real[high], imaginary[high]) = (real[low] - turned.0, imaginary[low] - turned.1);
                (real[low], imaginary[low]) = (real[low] + turned.0, imaginary[low] + turned.1);
                factor = (factor.0 * cosine - factor.1 * sine, factor.0 * sine + factor.1 * cosine);
            }
        }
        width *= 2;
    }
    if inverse {
        real.iter_mut().chain(imaginary).for_each(|part| *part /= count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_that_of_a_normal_distribution() {
        for (deviations, share) in
            [(0.0, 0.5), (1.0, 0.158_655_254), (3.0, 0.001_349_898), (6.0, 9.865_876e-10)]
        {
            assert!(
                (tail(deviations) / share - 1.0).abs() < 1e-6,
                "{deviations}: {}",
                tail(deviations)
            );
        }
    }

    #[test]
    fn a_wave_is_one_line_of_its_spectrum_and_comes_back() {
        let wave: Vec<f64> = (0..16)
            .map(|index| (f64::from(index) * std::f64::consts::TAU * 3.0 / 16.0).cos())
            .collect();
        let (mut real, mut imaginary) = (wave.clone(), vec![0.0; 16]);
        fourier(&mut real, &mut imaginary, false);
        for (index, (real, imaginary)) in real.iter().zip(&imaginary).enumerate() {
            let expected = if index == 3 || index == 13 { 8.0 } else { 0.0 };
            assert!(
                (real - expected).abs() < 1e-9 && imaginary.abs() < 1e-9,
                "{index}: {real} {imaginary}"
            );
        }
        fourier(&mut real, &mut imaginary, true);
        assert!(real.iter().zip(&wave).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
