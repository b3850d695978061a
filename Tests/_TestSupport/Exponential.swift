#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The C library's exponential, for files that import no C library.
func exponential(_ x: Double) -> Double { exp(x) }
