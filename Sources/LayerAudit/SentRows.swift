import LayerTensors

/// What one expert is sent back for the tokens of a tile: vectors v, and how every event's is put together from them.
///
/// Under a quadratic loss `G'(z) = z + c`, so the event in which experts i and j are weighed by a_i and a_j sends expert i
/// `m_i ω ⊙ (c + a_i ω ⊙ f_i + a_j ω ⊙ f_j)`: of N experts there are some 8N such events but N + 1 vectors `ω ⊙ c`, `ω² ⊙ f_j`, and
/// what happens to a vector on its way back is linear. Other losses send a vector for each event, and where only the mean over
/// events is asked for one vector does.
struct SentRows {
  /// A token's part.
  struct Group {
    /// The place of the token in the tile.
    var token: Int
    /// Its vectors.
    var rows: Range<Int>
    /// Its events.
    var uses: Range<Int>
    /// Whether events are combinations of the vectors, and not one each.
    var isShared: Bool
  }

  /// An event that the expert takes part in.
  struct Use {
    var probability: Double
    /// Where its gradient of the input is collected.
    var path: Int
    var terms: Range<Int>
  }

  /// A vector's share in an event.
  struct Term {
    var row: Int
    var factor: Double
  }

  let expert: Int
  private(set) var groups: [Group] = []
  private(set) var uses: [Use] = []
  private(set) var terms: [Term] = []
  /// `[rows, outputs]`.
  private(set) var vectors: [Double] = []
  private let width: Int

  /// The number of vectors.
  var count: Int { vectors.count / width }

  init(expert: Int, width: Int) {
    self.expert = expert
    self.width = width
  }

  /// Collects a token's events.
  ///
  /// - Parameters:
  ///   - token: its place in the tile.
  ///   - events: all of its events.
  ///   - gradients: `G'` of each, `[events, outputs]`.
  ///   - path: where the first event's gradient of the input is collected.
  mutating func add(
    token: Int, events: [ForwardEvents.Event], gradients: UnsafePointer<Double>, path: Int, isAveraged: Bool,
    context: AuditContext, index: Int
  ) {
    let own = events.indices.flatMap { k in
      events[k].slots.compactMap { $0.expert == expert ? (event: k, factor: $0.backward) : nil }
    }
    guard !own.isEmpty else { return }
    let (firstRow, firstUse) = (count, uses.count)
    let isShared = !isAveraged && context.layer.loss.isQuadratic && own.count > context.shape.experts + 1
    if isAveraged {
      var mean = [Double](repeating: 0, count: width)
      for (event, factor) in own {
        let weight = events[event].probability * factor
        for j in 0..<width { mean[j] += weight * gradients[event * width + j] }
      }
      append(mean, scale: context.layer.parameters.scale)
      use(path, probability: 1, [Term(row: firstRow, factor: 1)])
    } else if isShared {
      share(own, events, path, context, index)
    } else {
      for (event, factor) in own {
        append((0..<width).map { factor * gradients[event * width + $0] }, scale: context.layer.parameters.scale)
        use(path + event, probability: events[event].probability, [Term(row: count - 1, factor: 1)])
      }
    }
    groups.append(
      Group(token: token, rows: firstRow..<count, uses: firstUse..<uses.count, isShared: isShared))
  }

  private mutating func share(
    _ own: [(event: Int, factor: Double)], _ events: [ForwardEvents.Event], _ path: Int, _ context: AuditContext,
    _ index: Int
  ) {
    let scale = context.layer.parameters.scale
    let constant = count
    append(TokenLoss(context.layer, token: index).offset, scale: scale)
    var rows = [Int?](repeating: nil, count: context.shape.experts)
    for (event, factor) in own {
      var parts = [Term(row: constant, factor: factor)]
      for slot in events[event].slots {
        let row = rows[slot.expert] ?? count
        if rows[slot.expert] == nil {
          rows[slot.expert] = row
          let output = context.outputs.elements + (slot.expert * context.tokens + index) * width
          append((0..<width).map { output[$0] * (scale?.elements[$0] ?? 1) }, scale: scale)
        }
        parts.append(Term(row: row, factor: factor * slot.forward))
      }
      use(path + event, probability: events[event].probability, parts)
    }
  }

  private mutating func append(_ vector: [Double], scale: Tensor<Double>?) {
    guard let scale else {
      vectors += vector
      return
    }
    for j in 0..<width { vectors.append(vector[j] * scale.elements[j]) }
  }

  private mutating func use(_ path: Int, probability: Double, _ parts: [Term]) {
    uses.append(Use(probability: probability, path: path, terms: terms.count..<terms.count + parts.count))
    terms += parts
  }
}

extension SentRows {
  /// The mean and the total variance of a group's events, with weights `probability/share`, of vectors that belong to
  /// the rows: the vectors sent themselves, or what became of them, `[rows, length]`.
  ///
  /// *Numerics*: sums of squared deviations, except for shared vectors, whose Gram matrix K gives the square of a deviation `Σ_k d_k r_k`
  /// as `dᵀK d`: an error of ε times the largest square of a term.
  func moments(
    of group: Group, _ vectors: [Double], length: Int, share: Double
  ) -> (mean: [Double], variance: Double) {
    guard group.isShared else {
      return TokenTile.moments(vectors, from: group.rows.lowerBound, count: group.rows.count, width: length) {
        uses[group.uses.lowerBound + $0].probability / share
      }
    }
    let rows = group.rows.count
    var centre = [Double](repeating: 0, count: rows)
    for use in uses[group.uses] {
      for term in terms[use.terms] {
        centre[term.row - group.rows.lowerBound] += use.probability / share * term.factor
      }
    }
    // Deviations of the coefficients, times the roots of their probabilities.
    let events = group.uses.count
    var deviations = [Double](repeating: 0, count: events * rows)
    for (k, use) in uses[group.uses].enumerated() {
      let root = (use.probability / share).squareRoot()
      for a in 0..<rows { deviations[k * rows + a] = -root * centre[a] }
      for term in terms[use.terms] { deviations[k * rows + term.row - group.rows.lowerBound] += root * term.factor }
    }
    var covariance = [Double](repeating: 0, count: rows * rows)
    MatrixFactor.multiply(
      .rows(deviations, stride: rows, transposed: true), .rows(deviations, stride: rows), rows: rows,
      columns: rows, depth: events, into: &covariance)
    var gram = [Double](repeating: 0, count: rows * rows)
    var mean = [Double](repeating: 0, count: length)
    vectors.withUnsafeBufferPointer { vectors in
      guard let first = vectors.baseAddress.map({ $0 + group.rows.lowerBound * length }) else { return }
      MatrixFactor.multiply(
        .memory(first, stride: length), .memory(first, stride: length, transposed: true), rows: rows,
        columns: rows, depth: length, into: &gram)
      for a in 0..<rows { for j in 0..<length { mean[j] += centre[a] * first[a * length + j] } }
    }
    return (mean, max(0, zip(gram, covariance).reduce(0) { $0 + $1.0 * $1.1 }))
  }
}
