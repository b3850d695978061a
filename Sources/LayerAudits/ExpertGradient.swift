import LayerTensors

/// The gradient by one expert's weights, as tiles of tokens add to it: `Σ_t v_t ⊗ h_t` and `Σ_t u_t ⊗ x_t`.
struct ExpertGradient: Sendable {
  /// Its parts in the order of ``ExpertWeights/parts``, with what follows `experts.` in their names; of matrices anything before
  /// there is a row.
  private var parts: [(name: String, values: [Double])]
  /// Whether there is a row.
  private var hasRows = false
  private let inputs, hidden, outputs: Int
  private let isGated: Bool

  /// Zero.
  init(_ shape: LayerShape) {
    (inputs, hidden, outputs) = (shape.inputs, shape.hidden, shape.outputs)
    isGated = shape.isGated
    func zeros(_ exist: Bool, _ count: Int) -> [Double] { [Double](repeating: 0, count: exist ? count : 0) }
    parts = [
      ("w1", []), ("b1", zeros(shape.hiddenBias, shape.hidden)), ("w3", []),
      ("b3", zeros(shape.isGated && shape.hiddenBias, shape.hidden)), ("w2", []),
      ("b2", zeros(shape.outputBias, shape.outputs)),
    ]
  }

  /// Makes it zero again, in the same memory.
  mutating func clear() {
    hasRows = false
    for part in [1, 3, 5] { for k in parts[part].values.indices { parts[part].values[k] = 0 } }
  }

  /// Adds some rows.
  ///
  /// - Parameters:
  ///   - v: what comes to the outputs, `[count, outputs]`.
  ///   - back: what becomes of it behind the hidden units.
  ///   - units: the hidden units, `[count, hidden]`.
  ///   - x: the inputs, `[count, inputs]`.
  mutating func add(v: [Double], back: BackwardUnits, units: [Double], x: MatrixFactor, count: Int) {
    let (d, h, e) = (inputs, hidden, outputs)
    add(.rows(v, stride: e, transposed: true), .rows(units, stride: h), rows: e, columns: h, depth: count, to: 4)
    for (place, part) in [0, 2].enumerated() where part == 0 || isGated {
      add(
        .rows(back.values, stride: back.width, from: place * h, transposed: true), x, rows: h, columns: d,
        depth: count, to: part)
    }
    for (place, part) in [1, 3].enumerated() where !parts[part].values.isEmpty {
      for r in 0..<count { for j in 0..<h { parts[part].values[j] += back.values[r * back.width + place * h + j] } }
    }
    if !parts[5].values.isEmpty {
      for r in 0..<count { for j in 0..<e { parts[5].values[j] += v[r * e + j] } }
    }
    hasRows = true
  }

  /// Adds a product to a matrix, or makes it that.
  private mutating func add(
    _ a: MatrixFactor, _ b: MatrixFactor, rows: Int, columns: Int, depth: Int, to part: Int
  ) {
    guard parts[part].values.isEmpty else {
      return MatrixFactor.multiply(
        a, b, rows: rows, columns: columns, depth: depth, beta: hasRows ? 1 : 0, into: &parts[part].values)
    }
    parts[part].values = [Double](unsafeUninitializedCapacity: rows * columns) { values, count in
      count = rows * columns
      guard let values = values.baseAddress else { return }
      MatrixFactor.multiply(a, b, rows: rows, columns: columns, depth: depth, into: values)
    }
  }

  /// The number of entries of a part.
  private func count(_ part: Int) -> Int {
    switch part {
    case 0: hidden * inputs
    case 2: isGated ? hidden * inputs : 0
    case 4: outputs * hidden
    default: parts[part].values.count
    }
  }

  /// A part's entries, also where no row has come.
  private func values(_ part: Int) -> [Double] {
    hasRows || part % 2 == 1 ? parts[part].values : [Double](repeating: 0, count: count(part))
  }

  /// Its squared norms against another's; without one, it has no target.
  func sums(against other: ExpertGradient?) -> GroupSums {
    var sums = GroupSums()
    sums.hasTarget = other != nil
    for part in parts.indices where count(part) > 0 {
      sums.add(values(part), other?.values(part)[...])
    }
    return sums
  }

  /// Its squared norms as a target of its own.
  var sumsAgainstItself: GroupSums {
    var sums = sums(against: nil)
    (sums.target, sums.product, sums.hasTarget) = (sums.mean, sums.mean, true)
    return sums
  }

  /// Tells who writes means of an expert's parts, divided by the number of tokens.
  func tell(_ writer: MeanWriter?, expert i: Int, tokens: Int) {
    guard let writer else { return }
    for part in parts.indices where count(part) > 0 {
      values(part).map { $0 / Double(tokens) }.withUnsafeBufferPointer {
        writer("experts.\(parts[part].name)", i * count(part), $0)
      }
    }
  }
}
