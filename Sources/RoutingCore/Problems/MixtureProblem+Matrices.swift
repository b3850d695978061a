extension MixtureProblem {
  /// A mixture problem from matrices, for callers that hold their outputs row by row in one array.
  ///
  /// Without a scale the outputs are kept as they are, not copied.
  ///
  /// - Parameters:
  ///   - name: its name, if it has one.
  ///   - logits: θ, `[experts]`.
  ///   - outputs: f, `[experts][width]`; may be nil with a table.
  ///   - scale: ω, `[width]`, ones if nil.
  ///   - defaults: m, `[experts][width]`.
  ///   - router: W, b and x with `θ = W x + b`, up to rounding in Float32.
  ///   - source: the loss.
  /// - Throws: `InvalidInput` if lengths disagree, an entry is not finite, or the router has other logits.
  package init(
    name: String? = nil, logits: [Double], outputs expertOutputs: Matrix?, scale: [Double]? = nil,
    defaults standIns: Matrix? = nil, router: RouterInput? = nil, source: Source
  ) throws(InvalidInput) {
    try requireLogits(logits)
    try router?.requireLogits(logits)
    var width = expertOutputs?.columns ?? scale?.count ?? standIns?.columns ?? 0
    switch source {
    case .loss(let loss):
      guard expertOutputs != nil else {
        throw InvalidInput("expertOutputs", "expected \(logits.count) rows, the field is missing")
      }
      width = loss.dimension
    case .table(let table): try table.requireFit(experts: logits.count)
    }
    if let expertOutputs { try expertOutputs.requireFinite(logits.count, by: width, "expertOutputs") }
    if let scale { try RoutingCore.requireFinite(scale, count: width, "scale") }
    if let standIns { try standIns.requireFinite(logits.count, by: width, "defaultOutputs") }
    self.init(
      name: name, logits: logits, directions: expertOutputs?.scalingColumns(by: scale),
      standInDirections: standIns?.scalingColumns(by: scale), router: router, source: source)
  }
}

extension Matrix {
  /// Throws unless it has these rows and columns, and finite entries.
  fileprivate func requireFinite(_ count: Int, by width: Int, _ path: String) throws(InvalidInput) {
    guard rows == count else { throw InvalidInput(path, "expected \(count) rows, got \(rows)") }
    guard columns == width else { throw InvalidInput("\(path)[0]", "expected \(width) numbers, got \(columns)") }
    guard let place = elements.firstIndex(where: { !$0.isFinite }) else { return }
    throw InvalidInput(
      "\(path)[\(place / columns)][\(place % columns)]", "expected a finite number, got \(elements[place])")
  }

  /// Every row times `scale`, entry by entry; itself if there is none.
  fileprivate func scalingColumns(by scale: [Double]?) -> Matrix {
    guard let scale else { return self }
    var matrix = self
    for i in 0..<rows { for j in 0..<columns { matrix[i, j] *= scale[j] } }
    return matrix
  }
}
