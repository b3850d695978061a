import RoutingCore

/// RELAX: REINFORCE with a surrogate of f for a control variate, `ĝ = (f(D) − c(z̃)) (I_D − π) + ∇c(z) − ∇c(z̃)`, which needs f at D alone.
///
/// In the paper c is a network that is trained to lower the variance. Here it is `c(z) = w·softmax(z/τ)`, which holds every constant (a baseline)
/// and the linear interpolation of f, with the w at which the variance is least, as far as ``pilotDraws`` relaxed draws of their own tell, as many given each D: w is a function
/// of the problem, the samples are independent of it, and so is the mean. Unbiased for every function.
///
/// On a mixture f(D) is `G(π_D f_D)` and the gating sample comes on top; no other expert is evaluated (the pilot is not counted, as training c
/// is not in the paper). `coupled` takes z for z̃ (``ControlledRelaxation``).
///
/// *Numerics*: the sample is linear in w, `b + A w`; `E[AᵀA] w = −E[Aᵀb]` by conjugate gradients, the expectation over D exact, because what is rare
/// may be what varies.
///
/// *Edge cases*: w has as many numbers as experts, and that matrix their square: at most ``largestExperts``.
///
/// *Source*: arXiv 1711.00123 (Grathwohl, Choi, Wu, Roeder, Duvenaud), algorithm 2 for categorical draws; duvenaud/relax.
public struct RELAX: ControlledRelaxation {
  public static let id = "relax"
  public static let parameters = [
    ParameterDeclaration("tau", .positive, standard: .number(0.5)),
    ParameterDeclaration("coupled", .flag, standard: .flag(false)),
  ]

  /// The relaxed draws that w is fitted to, some more where they do not divide.
  public static let pilotDraws = 1000
  /// The most experts that may be drawn.
  public static let largestExperts = 64

  /// τ.
  public let temperature: Double
  /// Whether z̃ is z.
  public let isCoupled: Bool

  /// - Precondition: `temperature` is positive and finite.
  public init(temperature: Double = 0.5, isCoupled: Bool = false) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    self.temperature = temperature
    self.isCoupled = isCoupled
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"), isCoupled: values.flag("coupled"))
  }

  public var values: ParameterValues {
    isCoupled
      ? ["tau": .number(temperature), "coupled": .flag(true)] : ["tau": .number(temperature)]
  }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all, expertEvaluations: .constant(1),
      source: "arXiv 1711.00123")
  }

  package func controlled(on problem: RoutedProblem) throws(Unavailable) -> ControlledSampler {
    let weights = try self.weights(on: problem)
    return try sampler(on: problem, weights: weights)
  }

  private func sampler(on problem: RoutedProblem, weights: [Double]) throws(Unavailable) -> ControlledSampler {
    try ControlledSampler(
      problem, control: RelaxedFunction(weights: weights), scale: 1, temperature: temperature, isCoupled: isCoupled)
  }

  /// w, `[experts]`; 0 outside the support.
  ///
  /// - Throws: ``Unavailable`` where too many experts may be drawn, the values are not known, or w overflows.
  public func weights(on problem: RoutedProblem) throws(Unavailable) -> [Double] {
    let (experts, support) = (problem.experts, problem.distribution.support)
    guard support.count <= Self.largestExperts else {
      throw Unavailable("fits its control variate for at most \(Self.largestExperts) experts that may be drawn")
    }
    // One sampler for each w = I_k: their samples less what is there without are the columns of A.
    let none = [Double](repeating: 0, count: experts)
    let units = try support.map { expert throws(Unavailable) in
      var unit = none
      unit[expert] = 1
      return try sampler(on: problem, weights: unit)
    }
    let largest = units[0].weights.reduce(0) { max($0, $1.magnitude) }
    guard largest > 0, largest.isFinite else { return none }
    let size = largest.binade
    var normal = Matrix(rows: support.count, columns: support.count)
    var right = [Double](repeating: 0, count: support.count)
    var generator = Philox(seed: 0x5e1a, stream: 0)
    let draws = (Self.pilotDraws + support.count - 1) / support.count
    for choice in support {
      let weight = problem.distribution.probabilities[choice] / Double(draws)
      let b = units[0].uncontrolled(choice).map { $0 / size }
      for _ in 0..<draws {
        let free = units[0].distances(given: choice, using: &generator)
        let conditional = isCoupled ? free : units[0].distances(given: choice, using: &generator)
        let columns = units.map { unit in
          var column = unit.conditionalPart(of: choice, distances: conditional).conditional
          if !isCoupled {
            for (k, value) in unit.parts(of: choice, distances: free).free.enumerated() { column[k] += value }
          }
          return column
        }
        for k in columns.indices {
          right[k] -= weight * dot(columns[k], b)
          for l in 0...k {
            normal[k, l] += weight * dot(columns[k], columns[l])
            normal[l, k] = normal[k, l]
          }
        }
      }
    }
    let solution = Self.solution(of: normal, right).map { $0 * size }
    guard solution.allSatisfy(\.isFinite) else { throw Unavailable("has a control variate that overflows Float64") }
    var weights = none
    for (place, expert) in support.enumerated() { weights[expert] = solution[place] }
    return weights
  }

  /// `x` with `M x = b` by conjugate gradients from 0, for a positive semidefinite M.
  private static func solution(of matrix: Matrix, _ b: [Double]) -> [Double] {
    var x = [Double](repeating: 0, count: b.count)
    var residual = b
    var direction = b
    var square = dot(residual, residual)
    let end = square * 1e-28
    for _ in 0..<2 * b.count where square > end {
      let image = (0..<b.count).map { dot(matrix.row($0), direction) }
      let curvature = dot(direction, image)
      guard curvature > 0 else { break }
      let step = square / curvature
      for k in x.indices {
        x[k] += step * direction[k]
        residual[k] -= step * image[k]
      }
      let next = dot(residual, residual)
      for k in x.indices { direction[k] = residual[k] + next / square * direction[k] }
      square = next
    }
    return x
  }
}

extension RELAX {
  /// With `low` and `high` the ends of w, c lies between them, `∇c(z)_j` within `¼ (w_j − high)/τ … ¼ (w_j − low)/τ`, and of the same a what
  /// `∇c(z̃)_j = q_j a_j − π_j (q·a)` adds is at most that and `π_j (high − low)/(2τ)` in size.
  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    let (distribution, w) = (problem.distribution, try weights(on: problem))
    let sampler = try sampler(on: problem, weights: w)
    let kept = distribution.support.map { w[$0] }
    guard let low = kept.min(), let high = kept.max() else { throw Unavailable("has no experts") }
    var lower = [Double](repeating: 0, count: problem.experts)
    var upper = lower
    for j in distribution.support {
      let (down, up) = ((high - w[j]) / (4 * temperature), (w[j] - low) / (4 * temperature))
      let shared = distribution.share(j, of: (high - low) / (2 * temperature))
      // Coupled: (1 − q) a + π (q·a) alone.
      let (below, above) = isCoupled ? (down + shared, up + shared) : (down + up + shared, up + down + shared)
      var (least, most) = (Double.infinity, -Double.infinity)
      for i in distribution.support {
        for level in [low, high] {
          let value = sampler.score(i, times: sampler.weights[i] - level)[j]
          (least, most) = (min(least, value), max(most, value))
        }
      }
      (lower[j], upper[j]) = (least - below, most + above)
    }
    guard zip(lower, upper).allSatisfy({ ($1 - $0).isFinite }) else {
      throw Unavailable("has samples whose bounds overflow Float64")
    }
    return SampleBounds(lower: lower, upper: upper)
  }
}
