import CStandardLibrary

/// `−log softmax(Wz + b)[label]` over C classes.
///
/// *Numerics*: the value is `log1p` of the other classes' odds where the label leads and a shifted log-sum-exp
/// otherwise; the label's residual `p_label − 1` is minus the sum of the others, so neither cancels when the
/// classifier is certain.
public struct SoftmaxCrossEntropy: Objective {
  /// W, by rows, `[classes][dimension]`.
  public let weights: [[Double]]
  /// b, `[classes]`.
  public let biases: [Double]
  /// The class whose probability counts.
  public let label: Int

  public let dimension: Int

  /// A cross-entropy.
  ///
  /// - Throws: `InvalidInput` if there is no class, the rows differ in length, the label is no class, or an entry is not
  ///   finite.
  public init(weights: [[Double]], biases: [Double], label: Int) throws(InvalidInput) {
    guard let width = weights.first?.count else {
      throw InvalidInput("weights", "expected at least one row, got none")
    }
    try requireFinite(rows: weights, count: weights.count, width: width, "weights")
    try requireFinite(biases, count: weights.count, "biases")
    guard weights.indices.contains(label) else {
      throw InvalidInput("label", "expected a class from 0 to \(weights.count - 1), got \(label)")
    }
    self.weights = weights
    self.biases = biases
    self.label = label
    self.dimension = width
  }

  public func value(at point: [Double]) -> Double {
    let scores = scores(at: point)
    let lead = scores.indices.filter { $0 != label }.map { scores[$0] - scores[label] }
    guard let highest = lead.max() else { return 0 }
    var sum = CompensatedSum()
    if highest <= 0 {
      for difference in lead { sum += exp(difference) }
      return log1p(sum.value)
    }
    sum += exp(-highest)
    for difference in lead { sum += exp(difference - highest) }
    return highest + log(sum.value)
  }

  public func gradient(at point: [Double]) -> [Double] {
    let scores = scores(at: point)
    var highest = 0
    for c in scores.indices where scores[c] > scores[highest] { highest = c }
    let odds = scores.map { exp($0 - scores[highest]) }
    var total = CompensatedSum()
    for value in odds { total += value }
    var others = CompensatedSum()
    for (c, value) in odds.enumerated() where c != label { others += value }
    return (0..<dimension).map { j in
      var sum = CompensatedSum()
      for c in odds.indices {
        sum += (c == label ? -others.value : odds[c]) / total.value * weights[c][j]
      }
      return sum.value
    }
  }

  private func scores(at point: [Double]) -> [Double] {
    weights.indices.map { dot(weights[$0], point) + biases[$0] }
  }
}
