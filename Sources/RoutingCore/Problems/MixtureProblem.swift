/// A mixture problem: one token's output `y = π_D f_D` of the sampled expert, under a loss `G(y) = g(ω ⊙ y)`.
///
/// `L(θ) = Σ_i π_i G(π_i f_i)`.
///
/// *Source*: the setting of arXiv 2310.00811 (SparseMixer).
public struct MixtureProblem: Sendable {
  /// The problem's name, if it has one.
  public let name: String?
  /// θ, `[experts]`.
  public let logits: [Double]
  /// `r_i = ω ⊙ f_i`, `[experts][width]`: the expert outputs as the loss sees them. Nil where only a table is known.
  public let directions: Matrix?
  /// `ω ⊙ m_i`, `[experts][width]`: what stands in for experts that were not chosen (`default-moe`).
  public let standInDirections: Matrix?
  /// What the logits were computed from, if it is known: only jitter on the router's input needs it.
  public let router: RouterInput?
  /// Where the loss comes from.
  public let source: Source

  /// Where the loss's values and slopes come from.
  public enum Source: Sendable {
    /// A function of the scaled output.
    case loss(any Objective)
    /// Values and slopes along the rays `c π_i f_i`, as another program evaluated them.
    case table(MixtureTable)
  }

  /// A mixture problem.
  ///
  /// - Parameters:
  ///   - name: its name, if it has one.
  ///   - logits: θ, `[experts]`.
  ///   - expertOutputs: f, `[experts][width]`; may be nil with a table.
  ///   - scale: ω, `[width]`, ones if nil.
  ///   - standIns: m, `[experts][width]`.
  ///   - router: W, b and x with `θ = W x + b`, up to rounding in Float32.
  ///   - source: the loss.
  /// - Throws: `InvalidInput` if lengths disagree, an entry is not finite, or the router has other logits.
  public init(
    name: String? = nil, logits: [Double], expertOutputs: [[Double]]?, scale: [Double]? = nil,
    standIns: [[Double]]? = nil, router: RouterInput? = nil, source: Source
  ) throws(InvalidInput) {
    try requireLogits(logits)
    try router?.requireLogits(logits)
    let experts = logits.count
    var width = expertOutputs?.first?.count ?? scale?.count ?? standIns?.first?.count ?? 0
    switch source {
    case .loss(let loss):
      guard expertOutputs != nil else {
        throw InvalidInput("expertOutputs", "expected \(experts) rows, the field is missing")
      }
      width = loss.dimension
    case .table(let table): try table.requireFit(experts: experts)
    }
    if let expertOutputs {
      try requireFinite(rows: expertOutputs, count: experts, width: width, "expertOutputs")
    }
    if let scale { try requireFinite(scale, count: width, "scale") }
    if let standIns {
      try requireFinite(rows: standIns, count: experts, width: width, "defaultOutputs")
    }
    func scaled(_ rows: [[Double]]) -> Matrix {
      var matrix = Matrix(rows: rows, columns: width)
      if let scale {
        for i in 0..<experts { for j in 0..<width { matrix[i, j] *= scale[j] } }
      }
      return matrix
    }
    self.name = name
    self.logits = logits
    self.directions = expertOutputs.map(scaled)
    self.standInDirections = standIns.map(scaled)
    self.router = router
    self.source = source
  }

  /// A mixture problem with a loss that this program evaluates.
  public init(
    name: String? = nil, logits: [Double], expertOutputs: [[Double]], scale: [Double]? = nil,
    standIns: [[Double]]? = nil, router: RouterInput? = nil, loss: any Objective
  ) throws(InvalidInput) {
    try self.init(
      name: name, logits: logits, expertOutputs: expertOutputs, scale: scale, standIns: standIns,
      router: router, source: .loss(loss))
  }

  /// The same problem with every expert output (and stand-in) multiplied by `factor`: `f → h f`.
  ///
  /// Nil where the loss is a table, which cannot be evaluated anywhere else.
  package func scalingOutputs(by factor: Double) -> MixtureProblem? {
    guard case .loss = source else { return nil }
    return MixtureProblem(
      name: name, logits: logits, directions: directions.map { $0.scaled(by: factor) },
      standInDirections: standInDirections.map { $0.scaled(by: factor) }, router: router, source: source)
  }

  init(
    name: String?, logits: [Double], directions: Matrix?, standInDirections: Matrix?, router: RouterInput?,
    source: Source
  ) {
    self.name = name
    self.logits = logits
    self.directions = directions
    self.standInDirections = standInDirections
    self.router = router
    self.source = source
  }
}

/// A loss known only where another program evaluated it.
public struct MixtureTable: Sendable {
  /// The nodes c.
  public let nodes: [Double]
  /// `G(c π_i f_i)`, `[experts][nodes]`.
  public let values: [[Double]]
  /// `G'(c π_i f_i)·f_i`, `[experts][nodes]`.
  public let slopes: [[Double]]
  /// `G(0)`.
  public let valueAtZero: Double
  /// The mask under which the π of the table was computed.
  public let mask: Mask

  /// A node is found in the table if it is within this distance of one listed there.
  package static let nodeTolerance = 1e-12

  /// A table; that it fits a problem is checked when the problem is made.
  public init(
    nodes: [Double], values: [[Double]], slopes: [[Double]], valueAtZero: Double, mask: Mask
  ) {
    self.nodes = nodes
    self.values = values
    self.slopes = slopes
    self.valueAtZero = valueAtZero
    self.mask = mask
  }

  func requireFit(experts: Int) throws(InvalidInput) {
    try requireFinite(nodes, "loss.nodes")
    try requireFinite(rows: values, count: experts, width: nodes.count, "loss.values")
    try requireFinite(rows: slopes, count: experts, width: nodes.count, "loss.slopes")
    try requireFinite([valueAtZero], "loss.valueAtZero")
    for (k, node) in nodes.enumerated()
    where nodes[..<k].contains(where: { ($0 - node).magnitude <= Self.nodeTolerance }) {
      throw InvalidInput("loss.nodes[\(k)]", "expected distinct nodes, got \(node) twice")
    }
  }

  func index(of node: Double) -> Int? {
    nodes.firstIndex { ($0 - node).magnitude <= Self.nodeTolerance }
  }
}

extension Matrix {
  func scaled(by factor: Double) -> Matrix {
    Matrix(rows: rows, columns: columns, elements: elements.map { factor * $0 })
  }
}
