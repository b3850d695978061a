/// Squared norms of a mean, a target and their difference, and the product of the two, summed over parts of a group.
struct GroupSums: Sendable {
  var mean = 0.0
  var target = 0.0
  var bias = 0.0
  var product = 0.0
  var hasTarget = true

  /// Adds a part of `count` entries.
  mutating func add(_ mean: UnsafePointer<Double>, _ target: UnsafePointer<Double>?, count: Int) {
    // In variables of its own: a store after every entry would take longer than the sums.
    var (own, other, between, common) = (self.mean, self.target, bias, product)
    if let target {
      for k in 0..<count {
        let (m, t) = (mean[k], target[k])
        own += m * m
        other += t * t
        between += (m - t) * (m - t)
        common += m * t
      }
    } else {
      for k in 0..<count { own += mean[k] * mean[k] }
      hasTarget = false
    }
    (self.mean, self.target, bias, product) = (own, other, between, common)
  }

  /// Adds a part that lies in arrays.
  mutating func add(_ mean: [Double], _ target: ArraySlice<Double>?) {
    mean.withUnsafeBufferPointer { mean in
      guard let start = mean.baseAddress else { return }
      guard let target else { return add(start, nil, count: mean.count) }
      target.withUnsafeBufferPointer { add(start, $0.baseAddress, count: mean.count) }
    }
  }

  func scaled(by factor: Double) -> GroupSums {
    GroupSums(
      mean: factor * mean, target: factor * target, bias: factor * bias, product: factor * product,
      hasTarget: hasTarget)
  }

  mutating func add(_ other: GroupSums) {
    mean += other.mean
    target += other.target
    bias += other.bias
    product += other.product
    hasTarget = hasTarget && other.hasTarget
  }
}
