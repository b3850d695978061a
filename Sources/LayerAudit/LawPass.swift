import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Whose gradient a pass finds: an estimator's, or a target.
enum Subject: Sendable {
  case estimator(any GradientEstimator)
  case target(GradientTarget, draws: Int)

  var isTarget: Bool { if case .target = self { true } else { false } }

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

/// What is found of all subjects that share a forward law, and where it is kept.
///
/// First by tiles of tokens: everything that is a sum over tokens of something of their own (variances, the inputs'
/// gradients), and the means of v that experts are sent. Then expert by expert (``ExpertPass``): the means of the weights'
/// gradients, two matrix products each, which are compared with the target's and forgotten.
struct LawPass: Sendable {
  let context: AuditContext
  let law: ForwardLaw
  let subjects: [Subject]
  /// What to compare the inputs' gradients with.
  let reference: MeanGradient?
  /// Where each subject's means go.
  let means: [MeanGradient]
  /// The mean of v, `[experts · tokens, outputs]`; nil where the inputs' gradient is that of the path through the router
  /// alone.
  let sent: Tensor<Double>?

  /// - Parameter isRouterOnly: whether experts, scale and their inputs are left out.
  init(
    _ context: AuditContext, _ law: ForwardLaw, _ subjects: [Subject], isRouterOnly: Bool = false,
    reference: MeanGradient? = nil
  ) {
    self.context = context
    self.law = law
    self.subjects = subjects
    self.reference = reference
    means = subjects.map { _ in MeanGradient(context) }
    sent =
      isRouterOnly ? nil : Tensor(rows: context.shape.experts * context.tokens, columns: context.shape.outputs)
  }

  /// Whether means are all that there is to find: of expectations, and of targets.
  var isAveraged: Bool { law.isAveraged || subjects.allSatisfy(\.isTarget) }

  /// What the tokens' pass found of a subject; sums over tokens of the tokens' own.
  struct SubjectSums: Sendable {
    var routerVariance = 0.0
    var routerWeightVariance = 0.0
    var input = GroupSums()
    var inputVariance = 0.0
    var unavailable: Unavailable?
  }

  /// What some tokens' pass found.
  struct Sums: Sendable {
    var subjects: [SubjectSums]
    var expertsVariance = 0.0
    var scaleVariance = 0.0
    var scaleMean: [Double]

    init(_ pass: LawPass) {
      subjects = pass.subjects.map { _ in SubjectSums() }
      scaleMean = [Double](repeating: 0, count: pass.context.shape.outputs)
    }

    mutating func add(_ other: Sums) {
      expertsVariance += other.expertsVariance
      scaleVariance += other.scaleVariance
      for j in scaleMean.indices { scaleMean[j] += other.scaleMean[j] }
      for (s, found) in other.subjects.enumerated() {
        subjects[s].routerVariance += found.routerVariance
        subjects[s].routerWeightVariance += found.routerWeightVariance
        subjects[s].input.add(found.input)
        subjects[s].inputVariance += found.inputVariance
        subjects[s].unavailable = subjects[s].unavailable ?? found.unavailable
      }
    }
  }

  /// Runs passes side by side over the tokens, so that the experts' hidden units are computed once for all of them.
  ///
  /// - Parameters:
  ///   - passes: each after the one whose means it is compared with.
  ///   - onChunk: called after each of ``chunks(_:)``, from any thread.
  static func run(_ passes: [LawPass], _ context: AuditContext, onChunk: @Sendable () -> Void) -> [Sums] {
    let chunks = chunks(context)
    let parts = parallelMap(0..<chunks.count, threads: context.threads) { k in
      defer { onChunk() }
      let tokens = TokenChunk(context, chunks[k], hidden: passes.contains { $0.sent != nil })
      return passes.map { $0.run(tokens) }
    }
    return passes.indices.map { p in
      var total = Sums(passes[p])
      for part in parts { total.add(part[p]) }
      return total
    }
  }

  private func run(_ chunk: TokenChunk) -> Sums {
    var total = Sums(self)
    for tile in AuditContext.tiles(chunk.tokens.count, of: tileSize) {
      total.add(TokenTile(self, chunk, tile).sums)
    }
    return total
  }

  /// The tokens that are worked on together: a sixteenth of all, at most 64, and no more than their hidden units take 32 MB.
  static func chunks(_ context: AuditContext) -> [Range<Int>] {
    let room = 2_000_000 / (context.shape.experts * context.shape.hidden)
    return AuditContext.tiles(context.tokens, of: max(1, min(64, room, context.tokens / 16)))
  }

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
      case .expectedPairs: (n * n, 1)
      case .outcomes: (4 * n * n, context.layer.loss.isQuadratic ? n + 1 : 8 * n)
      }
    let perToken =
      events * (shape.outputs + shape.inputs + n) + rows * (shape.outputs + shape.hidden + shape.inputs)
    return min(max(Self.tileNumbers / perToken, 1), 64)
  }

  private static let tileNumbers = 8_000_000
}

/// Some tokens, with what all passes need of them.
struct TokenChunk {
  let tokens: Range<Int>
  /// The problem of each token, or why there is none.
  let problems: [Result<RoutedProblem, InvalidInput>]
  /// Each expert's hidden units for these tokens; empty where no pass goes through experts.
  let hidden: [Hidden]

  init(_ context: AuditContext, _ tokens: Range<Int>, hidden: Bool) {
    self.tokens = tokens
    problems = tokens.map { token in
      Result { () throws(InvalidInput) in try context.problem(token) }
    }
    self.hidden = hidden ? (0..<context.shape.experts).map { Hidden(context.layer, expert: $0, tokens: tokens) } : []
  }
}
