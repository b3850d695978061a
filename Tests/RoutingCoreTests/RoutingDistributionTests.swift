import Testing
import _TestSupport

@testable import RoutingCore

private let worst = WorstError("softmax")

/// The softmax, its complements and its Jacobian.
@Suite(.reporting(worst)) struct RoutingDistributionTests {
  /// A few ulps; below the normal range units are absolute, and the division by the sum adds one.
  static let bound = 8.0

  @Test func fileIsComplete() { #expect(SpecialValues.softmaxCases.count == 22) }

  @Test(arguments: SpecialValues.softmaxCases)
  func agreesWithHighPrecision(_ reference: SpecialValues.Softmax) {
    let distribution = RoutingDistribution(logits: reference.logits, temperature: reference.temperature)
    #expect(distribution.experts == reference.logits.count)
    #expect(distribution.support == Array(reference.logits.indices))
    for i in reference.logits.indices {
      for (quantity, ours, exact) in [
        ("probability", distribution.probabilities[i], reference.probabilities[i].value),
        ("complement", distribution.complements[i], reference.complements[i].value),
      ] {
        worst.record(ulps(from: ours, to: exact), of: "\(quantity), ulps", at: "\(reference.name)[\(i)]")
        expectClose(ours, exact, ulps: Self.bound, "\(quantity) \(i) of \(reference.name)")
      }
    }
    expectClose(distribution.probabilities.reduce(0, +), 1, within: 1e-15)
  }

  @Test func oneExpertIsCertain() {
    for logit in [-1e308, -700, 0, 700, 1e308] {
      let distribution = RoutingDistribution(logits: [logit])
      #expect(distribution.probabilities == [1])
      #expect(distribution.complements == [0])
      #expect(distribution.argmax == 0)
    }
  }

  @Test func tiesGoToTheLowestIndex() {
    let distribution = RoutingDistribution(logits: [-1, 2, 0, 2, 2])
    #expect(distribution.argmax == 1)
    #expect(distribution.probabilities[1] == distribution.probabilities[3])
    #expect(RoutingDistribution(logits: [0, -0.0]).argmax == 0)
    #expect(RoutingDistribution(logits: [-0.0, 0]).argmax == 0)
  }

  @Test func tiesAreDecidedOnTheLogits() {
    // The probabilities are equal to the last bit, the logits are not.
    let distribution = RoutingDistribution(logits: [1, 1 + 0x1p-52])
    #expect(distribution.argmax == 1)
  }

  @Test func complementIsTheSumOfTheOthers() {
    let distribution = RoutingDistribution(logits: [0, -40])
    expectClose(distribution.complements[0], distribution.probabilities[1], ulps: 1)
    #expect(distribution.probabilities[0] == 1)
    #expect(distribution.complements[0] > 0)
  }

  @Test func excludedAndMaskedExpertsHaveExactlyNone() {
    let logits = [3.0, 2.9, -1, 2.95]
    let masked = RoutingDistribution(logits: logits, mask: .paper(threshold: 0.02))
    #expect(masked.support == [0, 1, 3])
    #expect(masked.probabilities[2] == 0 && masked.complements[2] == 1)
    let alone = RoutingDistribution(logits: [logits[0], logits[1], logits[3]])
    #expect([0, 1, 3].map { masked.probabilities[$0] } == alone.probabilities)
    #expect([0, 1, 3].map { masked.complements[$0] } == alone.complements)
    let excluding = RoutingDistribution(logits: logits, excluding: 0)
    #expect(excluding.support == [1, 2, 3] && excluding.argmax == 3)
    #expect(excluding.probabilities[0] == 0)
    let one = RoutingDistribution(logits: logits, mask: .paper(threshold: 0))
    #expect(one.support == [0] && one.probabilities[0] == 1 && one.complements == [0, 1, 1, 1])
  }

  @Test(.seeded, arguments: [2, 3, 7, 8, 9, 16, 17, 33, 100])
  func shiftDoesNotMatter(_ experts: Int) {
    var generator = TestSeed.generator("shift \(experts)")
    // Dyadic logits, so that the shift is exact.
    let logits = (0..<experts).map { _ in Double(Int.random(in: -2000...2000, using: &generator)) / 64 }
    let plain = RoutingDistribution(logits: logits)
    for shift in [-1000.5, 3.25, 2e9] {
      let shifted = RoutingDistribution(logits: logits.map { $0 + shift })
      #expect(shifted.probabilities == plain.probabilities)
      #expect(shifted.complements == plain.complements)
      #expect(shifted.argmax == plain.argmax)
    }
  }

  @Test(.seeded, arguments: [1, 2, 5, 9])
  func jacobianAgreesWithItsDefinition(_ experts: Int) {
    var generator = TestSeed.generator("jacobian \(experts)")
    let distribution = RoutingDistribution(logits: generator.normals(experts))
    let weights = generator.normals(experts)
    let p = distribution.probabilities
    let expected = (0..<experts).map { k in
      (0..<experts).reduce(0) { $0 + p[k] * p[$1] * (weights[k] - weights[$1]) }
    }
    expectClose(distribution.jacobianProduct(weights), expected, relative: 1e-14, scale: 1e-16)
  }

  @Test func jacobianKeepsItsDigitsWhereOneExpertIsCertain() {
    let distribution = RoutingDistribution(logits: [0, -40])
    let q = distribution.complements[0]
    let gradient = distribution.jacobianProduct([1e6, 1e6 + 0.5])
    expectClose(gradient[0], -0.5 * q, ulps: 2)
    expectClose(gradient[1], 0.5 * q, ulps: 2)
    #expect(RoutingDistribution(logits: [3]).jacobianProduct([7]) == [0])
  }

  @Test func jacobianIgnoresWhatIsMasked() {
    let distribution = RoutingDistribution(logits: [1, 0, 1.1], mask: .paper(threshold: 0.1))
    #expect(distribution.support == [0, 2])
    let gradient = distribution.jacobianProduct([2, .nan, 3])
    #expect(gradient[1] == 0 && gradient[0].isFinite && gradient[2].isFinite)
  }

  @Test func preconditions() async {
    await #expect(processExitsWith: .failure) { _ = RoutingDistribution(logits: []) }
    await #expect(processExitsWith: .failure) { _ = RoutingDistribution(logits: [1], temperature: 0) }
  }
}
