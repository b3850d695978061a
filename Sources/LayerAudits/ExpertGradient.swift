import LayerTensors

/// The gradient by one expert's weights, as tiles of tokens add to it: `Σ_t v_t ⊗ h_t` and `Σ_t u_t ⊗ x_t`.
struct ExpertGradient: Sendable {
  /// Its parts in the order of ``ExpertWeights/parts``, with what follows `experts.` in their names.
  private(set) var parts: [(name: String, values: [Double])]
  private let inputs, hidden, outputs: Int

  /// Zero.
  init(_ shape: LayerShape) {
    (inputs, hidden, outputs) = (shape.inputs, shape.hidden, shape.outputs)
    let (w1, w2) = (shape.hidden * shape.inputs, shape.outputs * shape.hidden)
    let parts = [
      ("w1", w1), ("b1", shape.hiddenBias ? shape.hidden : 0), ("w3", shape.isGated ? w1 : 0),
      ("b3", shape.isGated && shape.hiddenBias ? shape.hidden : 0), ("w2", w2),
      ("b2", shape.outputBias ? shape.outputs : 0),
    ]
    self.parts = parts.map { ($0.0, [Double](repeating: 0, count: $0.1)) }
  }

  /// Adds some rows.
  ///
  /// - Parameters:
  ///   - v: what comes to the outputs, `[count, outputs]`.
  ///   - units: what becomes of it behind the hidden units.
  ///   - hidden: the hidden units, `[count, hidden]`.
  ///   - x: the inputs, `[count, inputs]`.
  mutating func add(v: [Double], units: BackwardUnits, hidden units0: [Double], x: MatrixFactor, count: Int) {
    let (d, h, e) = (inputs, hidden, outputs)
    MatrixFactor.multiply(
      .rows(v, stride: e, transposed: true), .rows(units0, stride: h), rows: e, columns: h, depth: count, beta: 1,
      into: &parts[4].values)
    for (place, part) in [0, 2].enumerated() where !parts[part].values.isEmpty {
      MatrixFactor.multiply(
        .rows(units.values, stride: units.width, from: place * h, transposed: true), x, rows: h, columns: d,
        depth: count, beta: 1, into: &parts[part].values)
    }
    for (place, part) in [1, 3].enumerated() where !parts[part].values.isEmpty {
      for r in 0..<count { for j in 0..<h { parts[part].values[j] += units.values[r * units.width + place * h + j] } }
    }
    if !parts[5].values.isEmpty {
      for r in 0..<count { for j in 0..<e { parts[5].values[j] += v[r * e + j] } }
    }
  }

  /// Its squared norms against another's; without one, it has no target.
  func sums(against other: ExpertGradient?) -> GroupSums {
    var sums = GroupSums()
    sums.hasTarget = other != nil
    for (place, part) in parts.enumerated() where !part.values.isEmpty {
      sums.add(part.values, other?.parts[place].values[...])
    }
    return sums
  }

  /// Tells who writes means of an expert's parts, divided by the number of tokens.
  func tell(_ writer: MeanWriter?, expert i: Int, tokens: Int) {
    guard let writer else { return }
    for part in parts where !part.values.isEmpty {
      part.values.map { $0 / Double(tokens) }.withUnsafeBufferPointer {
        writer("experts.\(part.name)", i * part.values.count, $0)
      }
    }
  }
}
