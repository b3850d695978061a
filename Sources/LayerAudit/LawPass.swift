import MixtureOfExperts
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Whose gradient a pass finds: an estimator's, or a target.
enum Subject: Sendable {
  case estimator(any GradientEstimator)
  case target(GradientTarget, draws: Int)

  /// The router's gradient for a token.
  func outcomes(on problem: RoutedProblem) throws(Unavailable) -> OutcomeDistribution {
    switch self {
    case .estimator(let estimator): try estimator.finiteOutcomes(on: problem)
    case .target(let target, let draws):
      OutcomeDistribution(
        distribution: problem.distribution,
        outcomes: [
          Outcome(choice: [], probability: 1, gradient: .dense(try target.gradient(of: problem, draws: draws)))
        ])
    }
  }
}

/// A mean gradient that estimators are held against, or that is written out.
final class MeanGradient: @unchecked Sendable {
  /// `E ĝ_t`, `[tokens, experts]`.
  let logits: Tensor<Double>
  /// Times T: the mean of each token's own gradient, `[tokens, inputs]`.
  let input: Tensor<Double>
  /// Times T as well; nil for targets that are defined for the router alone.
  var parameters: LayerParameters<Double>?

  init(_ context: AuditContext) {
    logits = Tensor(rows: context.tokens, columns: context.shape.experts)
    input = Tensor(rows: context.tokens, columns: context.shape.inputs)
  }
}

/// One pass over the tokens for all subjects that share a forward law.
///
/// First by tiles of tokens: everything that is a sum over tokens of something of their own (variances, the inputs'
/// gradients), and the means of v that experts are sent. Then expert by expert: the means of the weights' gradients, two
/// matrix products each, which are compared with the target's and forgotten.
struct LawPass: Sendable {
  let context: AuditContext
  let law: ForwardLaw
  let subjects: [Subject]
  /// Whether the inputs' gradient is that of the path through the router alone.
  let isRouterOnly: Bool
  /// What to compare with.
  let reference: MeanGradient?

  /// What the tokens' pass found of a subject; sums over tokens of the tokens' own.
  struct SubjectSums: Sendable {
    var routerVariance = 0.0
    var routerWeightVariance = 0.0
    var input = GroupSums()
    var inputVariance = 0.0
    var unavailable: Unavailable?
  }

  /// What a tile found.
  struct TileSums: Sendable {
    var subjects: [SubjectSums]
    var expertsVariance = 0.0
    var scaleVariance = 0.0
    var scaleMean: [Double]
  }

  /// Runs the tokens' pass.
  ///
  /// - Parameters:
  ///   - means: where each subject's means go.
  ///   - sent: room for the mean of v, `[experts · tokens, outputs]`.
  ///   - onTile: called after each tile, from any thread.
  func run(means: [MeanGradient], sent: Tensor<Double>, onTile: @Sendable () -> Void) -> TileSums {
    let tiles = AuditContext.tiles(context.tokens, of: tileSize)
    let parts = parallelMap(0..<tiles.count, threads: context.threads) { k in
      defer { onTile() }
      return TokenTile(self, tiles[k], means: means, sent: sent).sums
    }
    var total = TileSums(
      subjects: subjects.map { _ in SubjectSums() }, scaleMean: [Double](repeating: 0, count: context.shape.outputs))
    for part in parts {
      total.expertsVariance += part.expertsVariance
      total.scaleVariance += part.scaleVariance
      for j in total.scaleMean.indices { total.scaleMean[j] += part.scaleMean[j] }
      for s in subjects.indices {
        let (own, other) = (total.subjects[s], part.subjects[s])
        total.subjects[s].routerVariance = own.routerVariance + other.routerVariance
        total.subjects[s].routerWeightVariance = own.routerWeightVariance + other.routerWeightVariance
        total.subjects[s].input.add(other.input)
        total.subjects[s].inputVariance = own.inputVariance + other.inputVariance
        total.subjects[s].unavailable = own.unavailable ?? other.unavailable
      }
    }
    return total
  }

  /// The number of tiles that ``run(means:sent:onTile:)`` makes.
  var tileCount: Int { AuditContext.tiles(context.tokens, of: tileSize).count }

  /// As many tokens as keep a tile's numbers within some megabytes, and at most 64.
  private var tileSize: Int {
    let shape = context.shape
    let n = shape.experts
    let (events, rows) =
      switch law {
      case .ray(_, let others): (n * others.count, others.count)
      case .denseBackward: (n, n)
      case .expected: (n, 1)
      case .denseMixture: (1, 1)
      case .expectedPairs: (n * n, 2 * n)
      case .outcomes: (4 * n * n, 8 * n)
      }
    let perToken =
      events * (2 * shape.outputs + 2 * shape.inputs + n) + rows * (shape.outputs + shape.hidden + shape.inputs)
      + 2 * shape.hidden
    return min(max(Self.tileNumbers / perToken, 1), 64)
  }

  private static let tileNumbers = 4_000_000
}
