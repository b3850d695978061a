import NoiseIntegrals
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

private let worst = WorstError("jitter-mpmath.json")

/// `reference/jitter-mpmath.json`: Switch's jitter and soft Gumbel-softmax by nested integration, 22 digits and more.
private struct JitterReference: Decodable, Sendable {
  var outputs: [[Double]]
  var scales: [Double]
  var targets: [Double]
  var jitter: [Jitter]
  var soft: [Soft]

  struct Jitter: Decodable, Sendable, CustomTestStringConvertible {
    var name: String
    var logits: [Double]
    var jitter: Double
    var probabilities: [ReferenceNumber]
    var loss: ReferenceNumber
    var mean: [ReferenceNumber]
    var covariance: [[ReferenceNumber]]
    var target: [ReferenceNumber]

    var testDescription: String { name }
  }

  struct Soft: Decodable, Sendable, CustomTestStringConvertible {
    var logits: [Double]
    var tau: Double
    var mean: ReferenceNumber
    var variance: ReferenceNumber

    var testDescription: String { "\(logits) tau=\(tau)" }
  }

  func loss() throws -> LogCosh { try LogCosh(scales: scales, targets: targets) }

  static let shared = Result { try Fixtures.decode(Self.self, from: "reference/jitter-mpmath.json") }
  static var jitters: [Jitter] { (try? shared.get().jitter) ?? [] }
  static var softs: [Soft] { (try? shared.get().soft) ?? [] }
}

/// The integrals against mpmath, their error bounds included.
@Suite("Jitter and soft Gumbel-softmax against mpmath", .reporting(worst))
struct JitterReferenceTests {
  @Test func fileIsComplete() throws {
    #expect(try JitterReference.shared.get().jitter.count == 6)
    #expect(try JitterReference.shared.get().soft.count == 12)
  }

  @Test(arguments: JitterReference.jitters)
  fileprivate func jitter(_ reference: JitterReference.Jitter) throws {
    let file = try JitterReference.shared.get()
    let problem = try RoutedProblem(
      .mixture(
        MixtureProblem(
          logits: reference.logits, expertOutputs: Array(file.outputs.prefix(reference.logits.count)),
          loss: file.loss())))
    let estimator = Switch(jitter: reference.jitter)
    let name = reference.name
    func check(_ found: [Double], _ expected: [ReferenceNumber], bound: Double, scale: Double, _ quantity: String) {
      expectClose(
        found, expected.map(\.value), relative: bound, scale: scale, to: worst, quantity: quantity,
        "\(name) \(quantity)")
    }
    check(
      JitterExpectation.selectionProbabilities(logits: reference.logits, r: reference.jitter),
      reference.probabilities, bound: 1e-15, scale: 1, "selection")
    let estimate = try JitterExpectation.moments(of: estimator, on: problem, covariance: true)
    let mean = reference.mean.map(\.value)
    let second = reference.covariance.indices.map { reference.covariance[$0][$0].value + mean[$0] * mean[$0] }
    let scale = (second.max() ?? 0).squareRoot()
    check(estimate.moments.mean, reference.mean, bound: 1e-12, scale: scale, "mean")
    let covariance = try #require(estimate.moments.covariance)
    check(
      covariance.elements, reference.covariance.flatMap { $0 }, bound: 1e-12, scale: scale * scale, "covariance")
    let target = try JitterExpectation.targetGradient(of: estimator, on: problem)
    let size = reference.target.map(\.value.magnitude).max() ?? 0
    check(target.gradient, reference.target, bound: 1e-12, scale: max(size, scale), "target")
    let loss = try JitterExpectation.expectedLoss(of: estimator, on: problem)
    check([loss.value], [reference.loss], bound: 1e-12, scale: reference.loss.value, "loss")
    for (found, expected) in zip(estimate.moments.mean, mean) {
      #expect((found - expected).magnitude <= estimate.meanError)
    }
    for (found, expected) in zip(target.gradient, reference.target) {
      #expect((found - expected.value).magnitude <= target.error)
    }
  }

  @Test(arguments: JitterReference.softs)
  fileprivate func softGumbel(_ reference: JitterReference.Soft) throws {
    let problem = try RoutedProblem(
      .categorical(
        CategoricalProblem(logits: reference.logits, objective: try JitterReference.shared.get().loss())))
    let estimate = try SoftGumbelExpectation.moments(
      of: GumbelSoftmax(temperature: reference.tau), on: problem)
    #expect(estimate.method == .quadrature)
    let (mean, variance) = (reference.mean.value, reference.variance.value)
    let square = variance + mean * mean
    expectClose(
      estimate.moments.mean, [mean, -mean], relative: 1e-11, scale: square.squareRoot(), to: worst,
      quantity: "soft mean", reference.testDescription)
    expectClose(
      estimate.moments.variance, [variance, variance], relative: 1e-11, scale: square, to: worst,
      quantity: "soft variance", reference.testDescription)
    #expect((estimate.moments.mean[0] - mean).magnitude <= estimate.meanError)
    #expect((estimate.moments.variance[0] - variance).magnitude <= estimate.varianceError)
  }
}
