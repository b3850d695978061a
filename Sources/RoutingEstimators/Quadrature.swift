import RoutingCore

/// The estimator that a quadrature rule gives: `E_D[Σ_k b_k (G'(c_k π_D f_D)·f_D) ∂π_D]` estimates `∇₀`, and weight 1 more
/// at the node 1 adds `∇₁`.
///
/// With `evaluation=all-nodes` every node with a weight is evaluated; with `one-node` node k is drawn with probability
/// `|β_k|/Σ|β|` and weighed by `sign(β_k) Σ|β|`, which costs one forward pass and more variance. One-node Euler and midpoint
/// are the first-order and the midpoint rule of SparseMixer. The coin is the node's index, nodes in the rule's order and the
/// node 1 last where the rule lacks it.
///
/// *Source*: arXiv 2310.00811, section 3, carried on to the classical rules.
public struct Quadrature: RayEstimator {
  public static let id = "quadrature"
  public static let parameters = [
    ParameterDeclaration(
      "rule", .word(QuadratureRule.fixed.map(\.name) + ["gauss-legendre"]), standard: .word("gauss-legendre")),
    ParameterDeclaration("points", .integer(1...QuadratureRule.largestGaussLegendre), standard: nil),
    ParameterDeclaration("evaluation", .word(["all-nodes", "one-node"]), standard: .word("all-nodes")),
  ]

  /// The rule for `∇₀`.
  public let quadrature: QuadratureRule
  /// Whether one node is drawn instead of all being evaluated.
  public let drawsOneNode: Bool

  public init(_ quadrature: QuadratureRule, drawsOneNode: Bool = false) {
    self.quadrature = quadrature
    self.drawsOneNode = drawsOneNode
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    let name = values.word("rule")
    let fixed = QuadratureRule.fixed.first { $0.name == name }
    if fixed != nil, values["points"] != nil {
      throw InvalidEstimator("estimator 'quadrature': 'points' goes with rule=gauss-legendre, not with rule=\(name)")
    }
    let points = values["points"] == nil ? 3 : values.integer("points")
    self.init(fixed ?? .gaussLegendre(points), drawsOneNode: values.word("evaluation") == "one-node")
  }

  public var values: ParameterValues {
    var values: ParameterValues = ["rule": .word(quadrature.name)]
    if quadrature.name == "gauss-legendre" { values["points"] = .integer(quadrature.nodes.count) }
    values["evaluation"] = .word(drawsOneNode ? "one-node" : "all-nodes")
    return values
  }

  /// Every fixed rule, and Gauss-Legendre's with one to four nodes, all nodes evaluated.
  public var family: [any GradientEstimator] {
    (QuadratureRule.fixed + (1...4).map { QuadratureRule.gaussLegendre($0) }).map { Quadrature($0) }
  }

  public var claims: Claims {
    let evaluated = combined.weights.count { $0 != 0 }
    return Claims(
      kinds: [.mixture], target: .expectedLoss, exactness: .degree(quadrature.degree), order: quadrature.degree,
      expertEvaluations: .constant(drawsOneNode ? 1 : Double(evaluated)), source: "arXiv 2310.00811, section 3")
  }

  /// Nodes and β: the rule's, with weight 1 added at the node 1.
  private var combined: (nodes: [Double], weights: [Double]) {
    var nodes = quadrature.nodes
    var weights = quadrature.weights
    if let end = nodes.firstIndex(of: 1) {
      weights[end] += 1
    } else {
      nodes.append(1)
      weights.append(1)
    }
    return (nodes, weights)
  }

  public var rule: RayRule {
    let (nodes, weights) = combined
    guard drawsOneNode else { return RayRule(nodes: nodes, others: [.init(weights: weights)]) }
    let total = weights.reduce(0) { $0 + $1.magnitude }
    return RayRule(
      nodes: nodes,
      others: nodes.indices.filter { weights[$0] != 0 }.map { k in
        var side = RayRule.Side(
          label: k, probability: weights[k].magnitude / total, weights: nodes.map { _ in 0 }, output: nodes[k])
        side.weights[k] = weights[k] < 0 ? -total : total
        return side
      })
  }
}
