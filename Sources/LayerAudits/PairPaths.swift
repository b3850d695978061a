import LayerTensors
import RoutingCore

/// `G'·r_i` of a token whose loss has an affine gradient, `G'(z) = s z + c`, from the products of its directions: no gradient is
/// formed.
struct PairSlopes {
  private let slope: Double
  /// `c·r_i`.
  private let constant: [Double]
  /// `r_i·r_j`, `[experts, experts]`.
  private let products: [Double]

  /// Nil where a product of directions overflows, which `G'` itself need not.
  init?(_ problem: RoutedProblem, _ loss: TokenLoss) {
    guard let affine = loss.affineGradient, let directions = try? problem.computableMixture().directions else {
      return nil
    }
    let (n, e) = (directions.rows, directions.columns)
    slope = affine.slope
    func products(_ a: [Double], rows: Int) -> [Double] {
      var products = [Double](repeating: 0, count: rows * n)
      MatrixFactor.multiply(
        .rows(a, stride: e), .rows(directions.elements, stride: e, transposed: true), rows: rows, columns: n, depth: e,
        into: &products)
      return products
    }
    constant = products(affine.constant, rows: 1)
    self.products = slope == 0 ? [Double](repeating: 0, count: n * n) : products(directions.elements, rows: n)
    guard constant.allSatisfy(\.isFinite), self.products.allSatisfy(\.isFinite) else { return nil }
  }

  /// The slope along `r_i` where some slots take part.
  func slope(_ slots: ArraySlice<ForwardEvents.Slot>, along i: Int) -> Double {
    var sum = 0.0
    for slot in slots { sum += slot.forward * products[i * constant.count + slot.expert] }
    return constant[i] + slope * sum
  }
}

/// The input's gradients of a token under laws of pairs as combinations, where the loss's gradient is affine: of what becomes of
/// c and of the `ω ⊙ f_j` past the experts, of what becomes of their spans at the input of each expert (``SentSpan``), and of the
/// paths of the scores through the router.
struct PairPaths {
  private let events: ForwardEvents
  private let pairs: PairDistribution
  private let router: Tensor<Double>
  /// The rows of its own, `[3 experts + 1, inputs]`: past the experts, of c and each `s ω ⊙ f_j`, and of the scores of first and second draws.
  private let own: Tensor<Double>
  private let hasPast: Bool
  /// Where its own rows are, then those of each expert's spans.
  private let table: Combinations.Table
  /// Each expert's span, with the place of its first row.
  private var spans: [(span: SentSpan, first: Int)?] = []

  private var experts: Int { router.rows }

  /// - Parameters:
  ///   - inputs: what became of the spans at each expert's input.
  ///   - place: the token's in the tile.
  init(
    _ pass: LawPass, _ own: LawTile.Events, _ pairs: PairDistribution, _ chunk: TokenChunk,
    _ inputs: [SpannedInputs], at place: Int
  ) {
    let (context, token) = (pass.context, own.token)
    (events, self.pairs, router) = (own.list, pairs, context.layer.parameters.router)
    let (n, d) = (context.shape.experts, context.shape.inputs)
    let rows = Tensor<Double>(rows: 3 * n + 1, columns: d)
    var table = Combinations.table(rows.elements, rows: rows.rows, length: d)
    hasPast = pass.goesThroughExperts && (context.layer.residual || context.shared != nil)
    if hasPast { Self.setPast(rows, context, token) }
    _ = UnsafeMutableBufferPointer(start: rows.row(n + 1), count: n * d).update(
      fromContentsOf: chunk.scores[token.place])
    if pass.goesThroughExperts {
      for expert in inputs {
        spans.append(expert.spans[place].map { ($0, table.count) })
        table += Combinations.table(expert.rows.elements, rows: expert.rows.rows, length: d)
      }
    }
    self.own = rows
    self.table = table
  }

  /// What becomes of c and of each `s ω ⊙ f_j` past the experts.
  private static func setPast(_ rows: Tensor<Double>, _ context: AuditContext, _ token: LawTile.Token) {
    guard let affine = context.losses[token.index].affineGradient else { return }
    let (d, e, outputs) = (context.shape.inputs, context.shape.outputs, context.outputs[token.index])
    var vectors = affine.constant
    for j in 0..<(affine.slope == 0 ? 0 : outputs.rows) {
      for k in 0..<e {
        vectors.append(affine.slope * (context.layer.parameters.scale?.elements[k] ?? 1) * outputs[j, k])
      }
    }
    var paths = context.layer.residual ? vectors : [Double](repeating: 0, count: vectors.count / e * d)
    context.shared?.addPaths(vectors, tokens: token.index..<token.index + 1, token: { _ in token.index }, to: &paths)
    _ = UnsafeMutableBufferPointer(start: rows.elements, count: paths.count).update(fromContentsOf: paths)
  }

  /// The moments of the input's gradients after one first draw.
  ///
  /// - Parameter gradients: the router's gradients of these events.
  func moments(_ gradients: PairGradients, _ range: Range<Int>, weight: Double) -> WeightedMoments {
    // There is room for the scores of one second draw.
    guard gradients.draws.count == 1, let draw = gradients.draws.first, let follow = pairs.second[draw.first] else {
      preconditionFailure("expected the events after one first draw, got \(gradients.draws.count)")
    }
    TokenChunk.setScores(follow, through: router, to: own.row(2 * experts + 1))
    var sums = Combinations()
    sums.reserve(range.count, terms: range.count * 11)
    events.slots.withUnsafeBufferPointer { all in
      for k in draw.places {
        let slots = UnsafeBufferPointer(rebasing: all[events.events[range.lowerBound + k].slots])
        if hasPast {
          sums.add(row: 0, factor: 1)
          for slot in slots where slot.forward != 0 { sums.add(row: 1 + slot.expert, factor: slot.forward) }
        }
        for slot in slots {
          guard !spans.isEmpty, let (span, first) = spans[slot.expert] else { continue }
          span.add(slot, with: slots, from: first, to: &sums)
        }
        sums.add(row: experts + 1 + draw.first, factor: gradients.first[k])
        sums.add(row: 2 * experts + 1 + slots[1].expert, factor: gradients.second[k])
        sums.end()
      }
    }
    return sums.moments(
      of: table, length: own.columns, weights: events.events[range].map(\.probability), total: weight)
  }
}
