import LayerTensors

extension SentRows {
  /// The moments of the v that a group's events send.
  func sentMoments(of group: Group) -> WeightedMoments {
    switch group.basis {
    case .mean, .events, .span: moments(of: group, vectors, length: width)
    case .units:
      WeightedMoments(group.sent, count: group.slots.count, width: width, total: group.share) {
        group.probabilities[$0]
      }
    }
  }

  /// The moments of what became of them, from what became of the rows, `[rows, length]`.
  ///
  /// *Numerics*: sums of squared deviations; through unit vectors, whose Gram matrix is K, `tr(C K)` with C the covariance of v, formed
  /// from deviations: an error of ε times the product of their norms.
  func moments(of group: Group, _ rows: [Double], length: Int) -> WeightedMoments {
    switch group.basis {
    case .mean, .events: rowMoments(of: group, rows, length: length)
    case .span:
      rows.withUnsafeBufferPointer { rows in
        group.combinations.moments(
          of: rows.baseAddress.map { Combinations.table($0, rows: count, length: length) } ?? [], length: length,
          weights: group.probabilities, total: group.share)
      }
    case .units: unitMoments(of: group, rows, length: length)
    }
  }

  /// Adds what became of every event to its place, `[paths, length]`; of a mean, to the first.
  func add(
    _ group: Group, _ rows: UnsafePointer<Double>, length: Int, to paths: UnsafeMutablePointer<Double>
  ) {
    func add(_ row: UnsafePointer<Double>, _ path: Int) {
      Double.addScaled(row, factor: 1, scale: nil, to: paths + path * length, count: length)
    }
    switch group.basis {
    case .mean: add(rows + group.rows.lowerBound * length, 0)
    case .events: for (row, slot) in zip(group.rows, group.slots) { add(rows + row * length, slot.event) }
    case .span:
      group.combinations.add(from: Combinations.table(rows, rows: count, length: length), length: length) {
        paths + group.slots[$0].event * length
      }
    case .units:
      var own = [Double](repeating: 0, count: group.slots.count * length)
      MatrixFactor.multiply(
        .rows(group.sent, stride: width), .memory(rows + group.rows.lowerBound * length, stride: length),
        rows: group.slots.count, columns: length, depth: width, into: &own)
      own.withUnsafeBufferPointer { own in
        guard let own = own.baseAddress else { return }
        for (k, slot) in group.slots.enumerated() { add(own + k * length, slot.event) }
      }
    }
  }

  private func rowMoments(of group: Group, _ rows: [Double], length: Int) -> WeightedMoments {
    WeightedMoments(
      rows, from: group.rows.lowerBound, count: group.rows.count, width: length, total: group.share
    ) { group.basis == .mean ? 1 : group.probabilities[$0] }
  }

  private func unitMoments(of group: Group, _ rows: [Double], length: Int) -> WeightedMoments {
    let (share, count) = (group.share, group.slots.count)
    let sent = sentMoments(of: group)
    var deviations = group.sent
    for k in 0..<count {
      let root = (group.probabilities[k] / share).squareRoot()
      for j in 0..<width { deviations[k * width + j] = root * (deviations[k * width + j] - sent.mean[j]) }
    }
    var covariance = [Double](repeating: 0, count: width * width)
    MatrixFactor.multiply(
      .rows(deviations, stride: width, transposed: true), .rows(deviations, stride: width), rows: width,
      columns: width, depth: count, into: &covariance)
    var gram = [Double](repeating: 0, count: width * width)
    var mean = [Double](repeating: 0, count: length)
    rows.withUnsafeBufferPointer { buffer in
      guard let first = buffer.baseAddress.map({ $0 + group.rows.lowerBound * length }) else { return }
      MatrixFactor.multiply(
        .memory(first, stride: length), .memory(first, stride: length, transposed: true), rows: width,
        columns: width, depth: length, into: &gram)
      MatrixFactor.multiply(
        .rows(sent.mean, stride: width), .memory(first, stride: length), rows: 1, columns: length, depth: width,
        into: &mean)
    }
    return WeightedMoments(
      weight: share, mean: mean, variance: max(0, Double.dot(gram, covariance, scale: nil, count: width * width)))
  }
}
