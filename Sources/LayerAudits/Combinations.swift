import LayerTensors

/// Sums of a few rows of a table, `Σ_r factor_r row_r`.
struct Combinations: Sendable {
  /// Where rows of the same length are.
  typealias Table = [UnsafePointer<Double>?]

  /// A table of the rows of a matrix.
  static func table(_ matrix: UnsafePointer<Double>, rows: Int, length: Int) -> Table {
    (0..<rows).map { matrix + $0 * length }
  }

  private var rows: [Int] = []
  private var factors: [Double] = []
  /// Where each sum's terms end.
  private var ends: [Int] = []

  /// The number of sums.
  var count: Int { ends.count }

  /// Adds a term to the sum that is being put together.
  mutating func add(row: Int, factor: Double) {
    rows.append(row)
    factors.append(factor)
  }

  /// Ends that sum.
  mutating func end() { ends.append(rows.count) }

  /// Makes room for sums, with terms in all.
  mutating func reserve(_ sums: Int, terms: Int) {
    rows.reserveCapacity(terms)
    factors.reserveCapacity(terms)
    ends.reserveCapacity(sums)
  }

  private func terms(of k: Int) -> Range<Int> { (k == 0 ? 0 : ends[k - 1])..<ends[k] }

  private func withTerms(_ body: (_ rows: UnsafePointer<Int>, _ factors: UnsafePointer<Double>) -> Void) {
    rows.withUnsafeBufferPointer { rows in
      factors.withUnsafeBufferPointer { factors in
        guard let rows = rows.baseAddress, let factors = factors.baseAddress else { return }
        body(rows, factors)
      }
    }
  }

  /// Adds sums of rows of `length` numbers, each to its place.
  func add(from table: Table, length: Int, to place: (Int) -> UnsafeMutablePointer<Double>) {
    withTerms { rows, factors in
      for k in 0..<count {
        let terms = terms(of: k)
        Double.addCombination(
          of: table, rows: rows + terms.lowerBound, factors: factors + terms.lowerBound, terms: terms.count,
          to: place(k), count: length)
      }
    }
  }

  /// The moments of the sums of rows of `length` numbers, with weights that sum to `total`.
  ///
  /// *Numerics*: a sum of squared deviations.
  func moments(of table: Table, length: Int, weights: [Double], total: Double) -> WeightedMoments {
    var mean = [Double](repeating: 0, count: length)
    var variance = 0.0
    let weights = weights.map { $0 / total }
    // How much of each row is in the mean.
    var shares = [Double](repeating: 0, count: table.count)
    for k in 0..<count {
      for term in terms(of: k) { shares[rows[term]] += weights[k] * factors[term] }
    }
    let used = shares.indices.filter { shares[$0] != 0 }
    Double.addCombination(
      of: table, rows: used, factors: used.map { shares[$0] }, terms: used.count, to: &mean, count: length)
    weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      withTerms { rows, factors in
        var k = 0
        while k < count {
          // Sums of the same rows follow on each other where they are sides of the same coins.
          let terms = terms(of: k)
          var next = k + 1
          while next < count, hasRows(next, of: terms, rows) { next += 1 }
          variance += Double.squaredDistance(
            of: table, rows: rows + terms.lowerBound, factors: factors + terms.lowerBound, terms: terms.count,
            weights: weights + k, sums: next - k,
            from: mean, count: length)
          k = next
        }
      }
    }
    return WeightedMoments(weight: total, mean: mean, variance: variance)
  }

  /// Whether the k-th sum has the same rows as some terms before.
  private func hasRows(_ k: Int, of terms: Range<Int>, _ rows: UnsafePointer<Int>) -> Bool {
    let own = self.terms(of: k)
    return own.count == terms.count
      && (0..<own.count).allSatisfy { rows[own.lowerBound + $0] == rows[terms.lowerBound + $0] }
  }
}
