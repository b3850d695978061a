import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

/// The audit's moments against the gradients that training really draws.
struct RouterAuditTests {
  private static let routers = [
    "switch", "switch:jitter=none", "masked-switch:threshold=0.4", "sparsemixer", "sparsemixer:rule=midpoint,mask=none",
    "sparsemixer:rule=first-order", "sparsemixer-v2", "sparsemixer-v2:argmax-rule=false,mask=none",
    "sparsemixer-v2-top2",
    "argmax-midpoint", "null-contrast", "surrogate-experts:rank=3", "surrogate-experts:rank=3,top=1",
    "exact:expert=sample",
    "exact", "reinforce:baseline=0.01", "dense-backward", "none",
  ]

  private static func settings(_ kind: MixtureTask.Kind) -> MixtureSettings {
    var settings = MixtureSettings()
    settings.kind = kind
    (settings.experts, settings.width, settings.hidden) = (4, 6, 5)
    (settings.batch, settings.heldOut, settings.audited, settings.loadBalance) = (3, 3, 3, 0)
    return settings
  }

  /// A model a few steps into training, so that students and experts differ, with logits that are far apart but not too far.
  private static func model(_ router: String, _ kind: MixtureTask.Kind) throws -> MixtureModel {
    let model = MixtureModel(settings(kind), router: try TrainingRouter(router), seed: 11)
    let optimiser = AdamOptimiser(model.parameters)
    for step in 0..<30 {
      _ = try model.step(step, threads: 1)
      optimiser.update(rate: 0.01)
    }
    for parameter in model.parameters where parameter.name == "layer.router.weight" {
      for i in 0..<parameter.value.count { parameter.value.elements[i] *= 4 }
    }
    return model
  }

  /// The mean of n draws lies within 7 standard errors in each of 24 coordinates (all routers and kinds: a false failure in 10⁹
  /// suites), and the total variance, whose relative error is at most √(κ/n) with κ < 40 here, within 6 of those.
  @Test(.seeded, arguments: routers, MixtureTask.Kind.allCases)
  func momentsAreThoseOfTraining(router: String, kind: MixtureTask.Kind) throws {
    let model = try Self.model(router, kind)
    let batch = model.heldOut
    let (problems, inputs) = try model.network.tokenProblems(batch)
    let size = 4 * 6
    var (mean, variance) = ([Double](repeating: 0, count: size), 0.0)
    for (problem, h) in zip(problems, inputs) {
      let gradient = try TokenGradient(problem, law: model.router.law, batch: 3)
      for i in 0..<4 { for j in 0..<6 { mean[i * 6 + j] += gradient.mean[i] * h[j] / 3 } }
      variance += gradient.totalVariance * h.reduce(0) { $0 + $1 * $1 } / 9
    }
    let draws = 1500
    var (sum, squares) = ([Double](repeating: 0, count: size), [Double](repeating: 0, count: size))
    for draw in 0..<draws {
      try model.network.run(
        batch, randomness: LayerRandomness(seed: TestSeed.value, stream: UInt64(3 * draw)), isTraining: true)
      let gradient = model.network.gradients.layer.router.values
      for k in 0..<size {
        let x = Double(gradient[k]) - mean[k]
        sum[k] += x
        squares[k] += x * x
      }
    }
    let n = Double(draws)
    let scale = mean.reduce(0) { max($0, $1.magnitude) }
    for k in 0..<size {
      let error = (squares[k] / n / n).squareRoot()
      // Float32 adds some 1e-6 of its own.
      expectClose(sum[k] / n, 0, within: 7 * error + 1e-5 * scale, "\(router), coordinate \(k)")
    }
    let measured = squares.reduce(0, +) / n
    expectClose(measured, variance, within: 6 * (40 / n).squareRoot() * variance + 1e-10 * scale * scale, "\(router)")
  }

  /// With other experts whose output is zero, null-contrast is exact given any choice.
  @Test func nullContrastIsExactIfTheOthersSayNothing() throws {
    let model = try Self.model("null-contrast", .regression)
    let (problems, _) = try model.network.tokenProblems(model.heldOut)
    for var problem in problems {
      for i in 1..<4 { problem.directions[i] = [Double](repeating: 0, count: 6) }
      problem.logits = [1, 0.2, -0.3, 0.1]
      let gradient = try TokenGradient(problem, law: .detached(r: 0.1), batch: 3)
      expectClose(gradient.mean, gradient.target, relative: 1e-12)
      expectClose(gradient.totalVariance, 0, within: 1e-20)
    }
  }

  /// On a loss that is quadratic along the ray the midpoint rule is exact: without jitter argmax-midpoint's mean is
  /// `(G(p_D f_D) − G(0) + p_D G'·f_D) (I_D − p)`, and null-contrast's, which weighs experts by their probability, p_D times that.
  @Test func argmaxMidpointIsNullContrastOnQuadraticLosses() throws {
    let model = try Self.model("null-contrast:r=0", .regression)
    let (problems, _) = try model.network.tokenProblems(model.heldOut)
    for problem in problems {
      let midpoint = try TokenGradient(problem, law: .jitteredArgmax(r: 0, hasCoin: true, .none), batch: 3)
      let contrast = try TokenGradient(problem, law: .detached(r: 0), batch: 3)
      let largest = try problem.routed(.none).distribution.probabilities.reduce(0, max)
      expectClose(midpoint.mean.map { largest * $0 }, contrast.mean, relative: 1e-9)
    }
  }

  /// Students that are right make surrogate-experts exact.
  @Test func surrogatesThatAreRightAreExact() throws {
    let model = try Self.model("surrogate-experts", .classification)
    let (problems, _) = try model.network.tokenProblems(model.heldOut)
    for var problem in problems {
      let p = try problem.routed(.none).distribution.probabilities
      problem.contrasts = p.indices.map { i in problem.loss.contrast(at: problem.directions[i].map { p[i] * $0 }) }
      let gradient = try TokenGradient(problem, law: .detached(r: 0.1), batch: 3)
      expectClose(gradient.mean, gradient.target, relative: 1e-12)
    }
  }

  @Test(arguments: MixtureTask.Kind.allCases)
  func exactRoutersHaveNeitherBiasNorVariance(kind: MixtureTask.Kind) throws {
    for router in ["exact", "exact:expert=sample"] {
      let audit = try #require(try Self.model(router, kind).auditRouter(threads: 2))
      #expect(audit.relativeBias < 1e-12 && audit.relativeDeviation < 1e-6 && audit.cosine > 1 - 1e-12)
    }
  }

  @Test(arguments: [
    "top-k", "gshard", "base", "default-moe", "gate-one", "switch:jitter=input",
    "sparsemixer-v2-top2:argmax-rule=false",
  ])
  func routersWithoutALawHaveNoAudit(router: String) throws {
    #expect(try Self.model(router, .regression).auditRouter(threads: 1) == nil)
  }

  @Test func auditsDoNotDependOnThreads() throws {
    let model = try Self.model("switch", .regression)
    #expect(try model.auditRouter(threads: 1) == model.auditRouter(threads: 3))
  }
}
