import LayerTensors

/// What some tokens add to the gradient by one expert's weights, `Σ_t v_t ⊗ h_t` and `Σ_t u_t ⊗ x_t`.
struct GradientRows {
  /// What comes to the outputs, `[count, outputs]`.
  var v: [Double]
  /// What becomes of it behind the hidden units.
  var back: BackwardUnits
  /// The hidden units, `[count, hidden]`.
  var units: [Double]
  /// The inputs, `[count, inputs]`.
  var x: MatrixFactor
  var count: Int
}

/// The gradients by one expert's weights under some laws, as tiles of tokens add to them.
///
/// With the last tile they are compared, block by block while a block is in the cache: they are far larger than what they are made
/// of, and where there is one tile, or nobody is told them, no more than a block of them is ever there.
struct ExpertGradients: Sendable {
  private let shape: LayerShape
  /// The matrices, in the order of ``ExpertWeights/parts``.
  private let matrices: [(name: String, rows: Int, columns: Int)]
  private let biases: [(name: String, count: Int)]
  /// The tiles' sums before the last one, by law and matrix; of laws without a row there is nothing.
  private var earlier: [[[Double]]]
  /// By law and bias.
  private var biasSums: [[[Double]]]

  /// Zero.
  init(_ shape: LayerShape, laws: Int) {
    self.shape = shape
    let (h, d, e) = (shape.hidden, shape.inputs, shape.outputs)
    matrices = [("w1", h, d)] + (shape.isGated ? [("w3", h, d)] : []) + [("w2", e, h)]
    biases =
      (shape.hiddenBias ? [("b1", h)] + (shape.isGated ? [("b3", h)] : []) : []) + (shape.outputBias ? [("b2", e)] : [])
    earlier = Array(repeating: [], count: laws)
    biasSums = Array(repeating: biases.map { [Double](repeating: 0, count: $0.count) }, count: laws)
  }

  /// Adds a tile, law by law.
  mutating func add(_ rows: [GradientRows?]) {
    for (law, own) in rows.enumerated() {
      guard let own else { continue }
      addBiases(own, law)
      let isFirst = earlier[law].isEmpty
      if isFirst { earlier[law] = matrices.map { [Double](repeating: 0, count: $0.rows * $0.columns) } }
      for (m, matrix) in matrices.enumerated() {
        multiply(own, m, columns: 0..<matrix.columns, beta: isFirst ? 0 : 1, into: &earlier[law][m])
      }
    }
  }

  private mutating func addBiases(_ rows: GradientRows, _ law: Int) {
    let (h, e) = (shape.hidden, shape.outputs)
    for (b, bias) in biases.enumerated() {
      let (values, stride, first) =
        bias.name == "b2" ? (rows.v, e, 0) : (rows.back.values, rows.back.width, bias.name == "b3" ? h : 0)
      values.withUnsafeBufferPointer { values in
        guard let values = values.baseAddress else { return }
        for r in 0..<rows.count {
          Double.addScaled(
            values + r * stride + first, factor: 1, scale: nil, to: &biasSums[law][b], count: bias.count)
        }
      }
    }
  }

  /// Some columns of a matrix's product, `[rows, columns]`.
  private func multiply(
    _ rows: GradientRows, _ m: Int, columns: Range<Int>, beta: Double, into block: inout [Double]
  ) {
    let (h, name) = (shape.hidden, matrices[m].name)
    let left: MatrixFactor =
      name == "w2"
      ? .rows(rows.v, stride: shape.outputs, transposed: true)
      : .rows(rows.back.values, stride: rows.back.width, from: name == "w3" ? h : 0, transposed: true)
    let right = name == "w2" ? .rows(rows.units, stride: h) : rows.x
    MatrixFactor.multiply(
      left, right.from(column: columns.lowerBound), rows: matrices[m].rows, columns: columns.count, depth: rows.count,
      beta: beta, into: &block)
  }

  /// Adds the last tile and compares.
  ///
  /// - Parameters:
  ///   - rows: of the tile, law by law.
  ///   - references: the law that each is compared with, itself perhaps; without one it has no target.
  ///   - writers: who is told the means over tokens.
  ///   - expert: its place.
  ///   - tokens: T.
  /// - Returns: squared norms, times T².
  mutating func sums(
    adding rows: [GradientRows?], against references: [Int?], _ writers: [MeanWriter?], expert: Int, tokens: Int
  ) -> [GroupSums] {
    var sums = references.map { reference in
      var none = GroupSums()
      none.hasTarget = reference != nil
      return none
    }
    for (law, own) in rows.enumerated() { if let own { addBiases(own, law) } }
    for b in biases.indices {
      for law in rows.indices {
        sums[law].add(biasSums[law][b], references[law].map { biasSums[$0][b][...] })
        tell(writers[law], biases[b].name, expert, biasSums[law][b], tokens)
      }
    }
    for m in matrices.indices { compare(m, rows, references, writers, expert, tokens, &sums) }
    return sums
  }

  private func compare(
    _ m: Int, _ rows: [GradientRows?], _ references: [Int?], _ writers: [MeanWriter?], _ expert: Int, _ tokens: Int,
    _ sums: inout [GroupSums]
  ) {
    let matrix = matrices[m]
    let isReference = rows.indices.map { references.contains($0) }
    // Who is told means is told whole matrices.
    var whole = writers.map { $0 == nil ? [] : [Double](repeating: 0, count: matrix.rows * matrix.columns) }
    // Those that others are compared with stay until all are through; the rest take turns.
    var (kept, turn) = ([[Double]](repeating: [], count: rows.count), [Double]())
    for columns in AuditContext.tiles(matrix.columns, of: 256) {
      for law in rows.indices where isReference[law] { set(&kept[law], law, m, rows[law], columns) }
      for law in rows.indices {
        if !isReference[law] { set(&turn, law, m, rows[law], columns) }
        (isReference[law] ? kept[law] : turn).withUnsafeBufferPointer { own in
          guard let start = own.baseAddress else { return }
          if let reference = references[law] {
            kept[reference].withUnsafeBufferPointer { sums[law].add(start, $0.baseAddress, count: own.count) }
          } else {
            sums[law].add(start, nil, count: own.count)
          }
          guard writers[law] != nil else { return }
          for r in 0..<matrix.rows {
            for (k, column) in columns.enumerated() {
              whole[law][r * matrix.columns + column] = start[r * columns.count + k]
            }
          }
        }
      }
    }
    for law in rows.indices { tell(writers[law], matrix.name, expert, whole[law], tokens) }
  }

  /// Makes a block some columns of a law's matrix: of the tiles before, and of this one.
  private func set(_ block: inout [Double], _ law: Int, _ m: Int, _ rows: GradientRows?, _ columns: Range<Int>) {
    let (count, width) = (matrices[m].rows, matrices[m].columns)
    if block.count != count * columns.count { block = [Double](repeating: 0, count: count * columns.count) }
    let isNew = earlier[law].isEmpty
    if isNew, rows == nil {
      for k in block.indices { block[k] = 0 }
    } else if !isNew {
      for r in 0..<count {
        for (k, column) in columns.enumerated() { block[r * columns.count + k] = earlier[law][m][r * width + column] }
      }
    }
    if let rows { multiply(rows, m, columns: columns, beta: isNew ? 0 : 1, into: &block) }
  }

  private func tell(_ writer: MeanWriter?, _ name: String, _ expert: Int, _ values: [Double], _ tokens: Int) {
    guard let writer else { return }
    values.map { $0 / Double(tokens) }.withUnsafeBufferPointer {
      writer("experts.\(name)", expert * values.count, $0)
    }
  }
}
