import CStandardLibrary

/// Reverse-mode differentiation of plain arithmetic, by which audits are checked: every operation is a node that knows its slopes by
/// the nodes it was made of.
final class Tape {
  fileprivate var slopes: [[(node: Int, slope: Double)]] = []

  /// A variable, or a constant.
  func number(_ value: Double) -> Number { node(value, []) }

  fileprivate func node(_ value: Double, _ parents: [(Int, Double)]) -> Number {
    slopes.append(parents.map { ($0.0, $0.1) })
    return Number(tape: self, node: slopes.count - 1, value: value)
  }

  /// The derivatives of a number by every node, by their places.
  func gradient(of number: Number) -> [Double] {
    var gradient = [Double](repeating: 0, count: slopes.count)
    gradient[number.node] = 1
    for k in slopes.indices.reversed() where gradient[k] != 0 {
      for (parent, slope) in slopes[k] { gradient[parent] += gradient[k] * slope }
    }
    return gradient
  }
}

/// A number of a tape.
struct Number {
  let tape: Tape
  let node: Int
  let value: Double

  /// The same, through which nothing is differentiated.
  var detached: Number { tape.number(value) }

  fileprivate func map(_ value: Double, _ slope: Double) -> Number { tape.node(value, [(node, slope)]) }

  static func + (a: Number, b: Number) -> Number { a.tape.node(a.value + b.value, [(a.node, 1), (b.node, 1)]) }
  static func - (a: Number, b: Number) -> Number { a.tape.node(a.value - b.value, [(a.node, 1), (b.node, -1)]) }
  static func * (a: Number, b: Number) -> Number {
    a.tape.node(a.value * b.value, [(a.node, b.value), (b.node, a.value)])
  }
  static func / (a: Number, b: Number) -> Number {
    a.tape.node(a.value / b.value, [(a.node, 1 / b.value), (b.node, -a.value / (b.value * b.value))])
  }
  static func * (a: Double, b: Number) -> Number { b.map(a * b.value, a) }
  static func + (a: Number, b: Double) -> Number { a.map(a.value + b, 1) }

  var exp: Number { map(CStandardLibrary.exp(value), CStandardLibrary.exp(value)) }
  var log: Number { map(CStandardLibrary.log(value), 1 / value) }
  var tanh: Number {
    let t = CStandardLibrary.tanh(value)
    return map(t, 1 - t * t)
  }
  var erf: Number {
    map(CStandardLibrary.erf(value), 2 / Double.pi.squareRoot() * CStandardLibrary.exp(-value * value))
  }
  var sigmoid: Number {
    let s = 1 / (1 + CStandardLibrary.exp(-value))
    return map(s, s * (1 - s))
  }
  /// Between two bounds, of slope 0 outside.
  func clamped(_ low: Double, _ high: Double) -> Number {
    map(min(max(value, low), high), value >= low && value <= high ? 1 : 0)
  }
  /// `max(x, 0)`, of slope 0 at 0.
  var positive: Number { map(max(value, 0), value > 0 ? 1 : 0) }
}

extension Sequence<Number> {
  /// Their sum; there has to be one.
  var sum: Number {
    var iterator = makeIterator()
    guard var total = iterator.next() else { preconditionFailure("a sum of numbers has a number") }
    while let next = iterator.next() { total = total + next }
    return total
  }
}
