import CStandardLibrary
import RoutingCore

extension Philox {
  /// Fills memory with draws from N(0, 1), two at a time (Box and Muller).
  mutating func fillNormal(_ numbers: UnsafeMutableBufferPointer<Double>) {
    var i = 0
    while i < numbers.count {
      let radius = (-2 * log(nextOpenUnit())).squareRoot()
      let angle = 2 * Double.pi * nextOpenUnit()
      numbers[i] = radius * cos(angle)
      if i + 1 < numbers.count { numbers[i + 1] = radius * sin(angle) }
      i += 2
    }
  }

  /// Draws from N(0, σ²).
  mutating func normals(_ count: Int, deviation: Double = 1) -> [Double] {
    var numbers = [Double](repeating: 0, count: count)
    numbers.withUnsafeMutableBufferPointer { fillNormal($0) }
    return numbers.map { deviation * $0 }
  }

  /// Draws from U(−a, a).
  mutating func uniforms(_ count: Int, bound a: Double) -> [Double] {
    (0..<count).map { _ in a * (2 * nextOpenUnit() - 1) }
  }
}
