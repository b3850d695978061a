import RoutingCore

#if BASE
  internal import CGLPK
#endif

/// The assignment of tokens to experts with the largest sum of logits among those in which the numbers of tokens that
/// experts get differ by at most one. A minimum-cost flow, solved by GLPK's out-of-kilter algorithm.
///
/// *Numerics*: the solver works in whole numbers, so logits are rounded to a millionth of their range first: the sum is
/// within a millionth of the range per token of the best.
///
/// GLPK is needed for this alone, so it stands behind the package trait `BASE`, which is on unless a build switches it off
/// (`--disable-default-traits`); without it ``solve(_:tokens:experts:)`` throws.
///
/// *Source*: arXiv 2103.16716, section 3; D. R. Fulkerson, J. SIAM 9 (1961), 18–27.
package enum BalancedAssignment {
  /// The expert of each token.
  ///
  /// - Parameter logits: finite, row-major `[tokens, experts]`.
  package static func solve(_ logits: [Double], tokens: Int, experts: Int) throws(Refusal) -> [Int] {
    precondition(logits.count == tokens * experts, "\(logits.count) logits are not \(tokens)×\(experts)")
    var choices = [Int32](repeating: 0, count: tokens)
    try solve(logits, tokens: tokens, experts: experts, choices: &choices)
    return choices.map(Int.init)
  }

  #if BASE
    static func solve(
      _ logits: UnsafePointer<Double>, tokens: Int, experts: Int, choices: UnsafeMutablePointer<Int32>
    ) throws(Refusal) {
      guard tokens > 0 else { return }
      var (smallest, largest) = (Double.infinity, -Double.infinity)
      for k in 0..<tokens * experts {
        smallest = min(smallest, logits[k])
        largest = max(largest, logits[k])
      }
      let unit = largest > smallest ? resolution / (largest - smallest) : 0
      guard
        let graph = glp_create_graph(Int32(MemoryLayout<rg_glpk_vertex>.size), Int32(MemoryLayout<rg_glpk_arc>.size))
      else { throw Refusal(.wrongData, "GLPK cannot make a graph of \(tokens) tokens and \(experts) experts") }
      defer { glp_delete_graph(graph) }
      // Vertices: tokens, experts, and where everything ends.
      let end = tokens + experts + 1
      glp_add_vertices(graph, Int32(end))
      for t in 0..<tokens { rg_glpk_vertex_data(graph, Int32(1 + t)).pointee.supply = 1 }
      rg_glpk_vertex_data(graph, Int32(end)).pointee.supply = -Double(tokens)
      func arc(_ from: Int, _ to: Int, low: Int, capacity: Int, cost: Double) -> UnsafeMutablePointer<glp_arc>? {
        let arc = glp_add_arc(graph, Int32(from), Int32(to))
        rg_glpk_arc_data(arc).pointee = rg_glpk_arc(low: Double(low), capacity: Double(capacity), cost: cost, flow: 0)
        return arc
      }
      var arcs: [UnsafeMutablePointer<glp_arc>?] = []
      arcs.reserveCapacity(tokens * experts)
      for t in 0..<tokens {
        for i in 0..<experts {
          let cost = ((largest - logits[t * experts + i]) * unit).rounded()
          arcs.append(arc(1 + t, 1 + tokens + i, low: 0, capacity: 1, cost: cost))
        }
      }
      for i in 0..<experts {
        let (share, rest) = tokens.quotientAndRemainder(dividingBy: experts)
        _ = arc(1 + tokens + i, end, low: share, capacity: share + (rest > 0 ? 1 : 0), cost: 0)
      }
      let status = rg_glpk_minimum_cost_flow(graph)
      guard status == 0 else {
        throw Refusal(
          .wrongData,
          "GLPK found no balanced assignment of \(tokens) tokens to \(experts) experts (status \(status))")
      }
      for t in 0..<tokens {
        for i in 0..<experts where rg_glpk_arc_data(arcs[t * experts + i]).pointee.flow > 0.5 { choices[t] = Int32(i) }
      }
    }

    /// The range of the logits in whole numbers.
    private static let resolution = 1e6
  #else
    static func solve(
      _ logits: UnsafePointer<Double>, tokens: Int, experts: Int, choices: UnsafeMutablePointer<Int32>
    ) throws(Refusal) {
      throw Refusal(.wrongData, "balanced routing needs GLPK, and this build is without it (package trait BASE)")
    }
  #endif
}
