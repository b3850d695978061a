import CStandardLibrary

/// The C library's exponential, for files that import no C library.
func exponential(_ x: Double) -> Double { exp(x) }
