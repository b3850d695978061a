import RoutingCore
import RoutingEstimators
import Testing

@Suite struct RayRuleTests {
  @Test func sidesOfEveryRayEstimatorAreACoin() {
    for estimator in EstimatorRegistry.standard {
      guard let rule = (estimator as? any RayEstimator)?.rule else { continue }
      for sides in [rule.argmax, rule.others] {
        #expect(sides.reduce(0) { $0 + $1.probability } == 1)
        #expect(sides.allSatisfy { $0.weights.count == rule.nodes.count })
        #expect(sides.count == 1 || sides.allSatisfy { $0.label != nil })
      }
    }
  }

  @Test func oneCoinForAllUnlessTheArgmaxHasItsOwn() {
    let plain = RayRule(nodes: [1], others: [.init(weights: [3])])
    #expect(plain.argmax == plain.others)
    #expect(plain.others[0].output == 1 && plain.others[0].probability == 1 && plain.others[0].label == nil)
  }

  @Test func nodesWithoutWeightAreNotLookedAt() {
    let rule = RayRule(nodes: [1, 0.5], others: [.init(weights: [2, 0])])
    let distribution = RoutingDistribution(logits: [0, 0])
    let outcomes = rule.outcomes(
      on: distribution, rays: RaySamples(values: [0, 0], slopes: [1, 3, .nan, .infinity]))
    #expect(outcomes.outcomes.map(\.gradient) == [.score(weight: 1), .score(weight: 3)])
  }
}
