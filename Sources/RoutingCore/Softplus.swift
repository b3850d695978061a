import CStandardLibrary

/// `log(1 + e^x)`, without overflow.
package func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-x.magnitude)) }
