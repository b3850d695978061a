import RoutingCore

/// What soft Gumbel-softmax does on a linear or quadratic objective: a polynomial in p. Indices run over the
/// support.
///
/// `∇F(p) = M p + b`; on a mixture, where `F(p) = G(Σ_i p_i π_i r_i)`, `M_il = π_i N_il` and `b_i = π_i
/// β_i`, and the gating sample is `J(π) [p_i (β_i + Σ_l N_il p_l)]_i`.
///
/// *Numerics*: `Σ p = 1`, so any column may be taken off M and added to b. With that of the most probable
/// expert b is the gradient where p mostly is, and what M adds vanishes there; as the gradient at 0 the two
/// could cancel. M is then not symmetric.
struct PolynomialForm: Sendable {
  /// b, less its entry at the most probable expert.
  let linear: [Double]
  /// M by rows; nil if F is linear.
  let matrix: Matrix?
  /// β and N of the gating sample; nil on a categorical problem.
  let gating: (linear: [Double], matrix: Matrix?)?

  /// Whether the sample is homogeneous, that is without gating sample, so that its square can be integrated
  /// for quadratic F.
  var isPlain: Bool { gating == nil }

  /// The form, or nil if the objective is not known to be a polynomial of degree 2 or less.
  ///
  /// - Throws: `Unavailable` where the objective or loss is tabulated.
  init?(_ problem: RoutedProblem) throws(Unavailable) {
    let support = problem.distribution.support
    let objective: any Objective
    var directions: Matrix?
    switch problem.problem {
    case .categorical(let categorical):
      guard case .objective(let function) = categorical.source else {
        throw Unavailable("needs the objective as a function, which a table is not")
      }
      objective = function
    case .mixture: (_, objective, directions) = try problem.computableMixture()
    }
    guard let degree = Self.degree(of: objective), degree <= 2 else { return nil }
    let pi = problem.distribution.probabilities
    func row(_ i: Int) -> [Double] {
      if let directions { return Array(directions.row(i)) }
      return (0..<problem.experts).map { $0 == i ? 1 : 0 }
    }
    let rows = support.map(row)
    let scales = support.map { directions == nil ? 1 : pi[$0] }
    let centre = support.firstIndex(of: problem.distribution.argmax) ?? 0
    let origin = objective.gradient(at: rows[centre].map { scales[centre] * $0 })
    let beta = rows.map { dot($0, origin) }
    let n = support.count
    var bends: Matrix?
    if degree == 2 {
      var matrix = Matrix(rows: n, columns: n)
      for l in 0..<n {
        let moved = objective.gradient(at: rows[l].map { scales[l] * $0 })
        let change = zip(moved, origin).map { $0 - $1 }
        for i in 0..<n { matrix[i, l] = dot(rows[i], change) }
      }
      bends = matrix
    }
    let b = zip(scales, beta).map { $0 * $1 }
    linear = b.map { $0 - b[centre] }
    matrix = bends.map { bends in
      var matrix = bends
      for i in 0..<n { for l in 0..<n { matrix[i, l] *= scales[i] } }
      return matrix
    }
    gating = directions == nil ? nil : (beta, bends)
  }

  /// The degree of an objective that is a polynomial for certain.
  static func degree(of objective: any Objective) -> Int? {
    switch objective {
    case is Linear: 1
    case is Quadratic: 2
    case let polynomial as Polynomial: polynomial.coefficients.count - 1
    case let power as SeparablePower where power.exponent == 2: 2
    default: nil
    }
  }
}
