import RoutingCore
import RoutingEstimators

/// A distribution of bounded vectors with known mean and spread, by which the verifier is checked.
package struct SampleSource: Sendable {
  /// What it is called.
  package let name: String
  /// The number of coordinates.
  package let coordinates: Int
  /// The mean of every coordinate.
  package let mean: Double
  /// The standard deviation of every coordinate.
  package let deviation: Double
  /// What samples lie between.
  package let bounds: SampleBounds
  private let draw: @Sendable (inout Philox, UnsafeMutablePointer<Double>) -> Void

  private init(
    _ name: String, coordinates: Int, mean: Double, deviation: Double, range: ClosedRange<Double>,
    draw: @escaping @Sendable (inout Philox, UnsafeMutablePointer<Double>) -> Void
  ) {
    self.name = name
    self.coordinates = coordinates
    self.mean = mean
    self.deviation = deviation
    self.bounds = SampleBounds(range, coordinates: coordinates)
    self.draw = draw
  }

  /// Draws samples, `[count][coordinates]`.
  package func fill(_ rows: UnsafeMutableBufferPointer<Double>, using generator: inout Philox) {
    guard let base = rows.baseAddress else { return }
    for start in stride(from: 0, to: rows.count, by: coordinates) { draw(&generator, base + start) }
  }

  /// Two points: `high` with probability p, else `low`.
  private static func twoPoints(
    _ name: String, low: Double, high: Double, probability p: Double, range: ClosedRange<Double>? = nil
  ) -> SampleSource {
    SampleSource(
      name, coordinates: 1, mean: low + p * (high - low), deviation: (high - low) * (p * (1 - p)).squareRoot(),
      range: range ?? low...high
    ) { generator, row in row[0] = generator.nextOpenUnit() < p ? high : low }
  }

  /// The distributions of ``VerifierTrials``.
  package static let all: [SampleSource] = [
    twoPoints("fair coin", low: -1, high: 1, probability: 0.5),
    twoPoints("one in a hundred", low: 0, high: 1, probability: 0.01),
    twoPoints("one in a thousand", low: 0, high: 1, probability: 0.001),
    twoPoints("all but one in a hundred", low: 0, high: 1, probability: 0.99),
    twoPoints("coin in a wide range", low: -0.1, high: 0.1, probability: 0.5, range: -1...1),
    SampleSource("uniform", coordinates: 1, mean: 0, deviation: 1 / 3.0.squareRoot(), range: -1...1) {
      generator, row in row[0] = 2 * generator.nextOpenUnit() - 1
    },
    SampleSource("8 independent uniforms", coordinates: 8, mean: 0, deviation: 1 / 3.0.squareRoot(), range: -1...1) {
      generator, row in for k in 0..<8 { row[k] = 2 * generator.nextOpenUnit() - 1 }
    },
    SampleSource("8 equal coordinates", coordinates: 8, mean: 0, deviation: 1 / 3.0.squareRoot(), range: -1...1) {
      generator, row in
      let x = 2 * generator.nextOpenUnit() - 1
      for k in 0..<8 { row[k] = k % 2 == 0 ? x : -x }
    },
    SampleSource(
      "one-hot of 8, less its mean", coordinates: 8, mean: 0, deviation: (0.125 * 0.875).squareRoot(),
      range: -0.125...0.875
    ) { generator, row in
      let choice = Int(generator.next() >> 61)
      for k in 0..<8 { row[k] = (k == choice ? 1 : 0) - 0.125 }
    },
  ]
}
