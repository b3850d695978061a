import LayerTensors
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

@testable import LayerAudits

/// The moments of pairs by formulas, against those of their list.
@Suite(.seeded) struct PairGradientsTests {
  @Test("moments in parts of any size are those of the list", arguments: [2, 3, 9], [0.3, 1, 30])
  func moments(_ experts: Int, _ spread: Double) throws {
    var random = TestSeed.generator("pairs")
    let logits = random.normals(experts).map { spread * $0 }
    let offset = random.normals(3)
    let loss = FunctionLoss(dimension: 3) { z in
      let y = zip(z, offset).map { $0 + $1 }
      return (0.5 * dot(y, y), y)
    }
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(logits: logits, expertOutputs: (0..<experts).map { _ in random.normals(3) }, loss: loss)))
    let estimator = SparseMixerV2Top2()
    let listed = try estimator.finiteOutcomes(on: problem).moments()
    let pairs = try PairDistribution(problem)
    let directions = try problem.computableMixture().directions
    for size in [1, 2, experts] {
      var found = WeightedMoments(weight: 0, mean: [Double](repeating: 0, count: experts), variance: 0)
      for part in AuditContext.tiles(experts, of: size) {
        let events = try ForwardEvents(
          estimator.forwardLaw, on: problem, pairs: pairs, firsts: part, outcomes: nil)
        var gradients: [Double] = []
        for event in events.events {
          var z = [0.0, 0, 0]
          for slot in events.slots[event.slots] {
            for (j, value) in directions.row(slot.expert).enumerated() { z[j] += slot.forward * value }
          }
          gradients += loss.gradient(at: z)
        }
        found.add(try PairGradients(problem, pairs, events, 0..<events.count, gradients: gradients).moments)
      }
      expectClose(found.weight, 1, within: 1e-14)
      let scale = norm(listed.mean) + listed.totalVariance.squareRoot()
      for (mean, expected) in zip(found.mean, listed.mean) { expectClose(mean, expected, within: 1e-13 * scale) }
      expectClose(found.variance, listed.totalVariance, within: 1e-12 * listed.totalVariance + 1e-15 * scale * scale)
    }
  }

  @Test("slopes from products of directions are those of the gradients, and are not to be had where products overflow")
  func slopes() throws {
    let layer = SmallLayer(tokens: 1, experts: 3, width: 4).make("slopes")
    func problem(_ context: AuditContext) throws -> (PairSlopes?, ForwardEvents, Matrix, TokenLoss) {
      let (problem, loss) = (context.problems[0], context.losses[0])
      let events = try ForwardEvents(
        SparseMixerV2Top2().forwardLaw, on: problem, pairs: try PairDistribution(problem), firsts: 0..<3, outcomes: nil)
      return (PairSlopes(problem, loss), events, try problem.computableMixture().directions, loss)
    }
    let options = LayerAudit.Options(estimators: [SparseMixerV2Top2()])
    let (found, events, directions, loss) = try problem(try AuditContext(layer, options))
    let slopes = try #require(found)
    #expect(events.count >= 6)
    for event in events.events {
      var z = [Double](repeating: 0, count: directions.columns)
      for slot in events.slots[event.slots] {
        for (j, value) in directions.row(slot.expert).enumerated() { z[j] += slot.forward * value }
      }
      let gradient = loss.gradient(at: z)
      for i in 0..<3 {
        expectClose(
          slopes.slope(events.slots[event.slots], along: i), dot(gradient, directions.row(i)),
          within: 1e-14 * norm(gradient) * norm(Array(directions.row(i))))
      }
    }
    if let bias = layer.parameters.all.first(where: { $0.name.hasSuffix("b2") })?.tensor {
      for k in 0..<bias.count { bias.elements[k] = 1e160 }
    }
    #expect(try problem(try AuditContext(layer, options)).0 == nil)
  }

  @Test("Wᵀ(I − π) keeps its digits where one expert has nearly all of π")
  func scores() {
    let router = Tensor<Double>(rows: 3, columns: 2, [1, 2, 4, -3, 0.5, 7])
    let distribution = RoutingDistribution(logits: [0, -40, -41])
    let rows = TokenChunk.scores(distribution, through: router)
    let p = distribution.probabilities
    for j in 0..<2 {
      let expected = p[1] * (router[0, j] - router[1, j]) + p[2] * (router[0, j] - router[2, j])
      expectClose(rows[j], expected, within: 4e-16 * expected.magnitude)
      expectClose(rows[2 + j], router[1, j] - router[0, j], within: 1e-15)
    }
  }
}
