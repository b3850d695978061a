import ArgumentParser
import Dispatch
import RouteGrad

/// The cost and the accuracy of exact straight-through Gumbel-softmax moments, by experts, temperature and logits: the
/// table of docs/notes/gumbel-integrals.md.
///
/// θ = R(2u(51) − 1) `[N]` and `∇f(I_i) = 2u(52) − 1` `[N, N]`, u the uniform numbers of Philox streams 51 and 52 under seed N.
struct GumbelIntegralCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gumbel-integral",
    abstract: "Times exact Gumbel-softmax moments and prints their errors, as a Markdown table.",
    discussion: """
      Bounds are those that the library reports, relative to the largest mean and the largest variance; the differences
      are from a run at a tolerance of 1e-12 (a dash where that is refused).
      """)

  @Option(name: .customLong("N"), parsing: .upToNextOption, help: "Numbers of experts.")
  var experts = [2, 8, 32, 64, 128]

  @Option(parsing: .upToNextOption, help: "Temperatures.")
  var tau = [0.05, 0.5, 1, 2, 10]

  @Option(parsing: .upToNextOption, help: "Logits lie within ± these.")
  var logits = [2.0, 50]

  @Option(help: "The tolerance asked for.")
  var tolerance = IntegrationOptions.standardTolerance

  @Option(help: "Runs of which the fastest counts.")
  var repeats = 3

  @Option(help: "The number of threads.")
  var threads = 1

  @Flag(help: "Compute the full covariance.")
  var covariance = false

  func validate() throws {
    try requirePositive([("--repeats", repeats), ("--threads", threads)])
    guard experts.allSatisfy({ $0 >= 1 }) else { throw ValidationError("--N: expected at least 1") }
    guard tau.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw ValidationError("--tau: expected finite numbers above 0")
    }
    guard logits.allSatisfy(\.isFinite) else {
      throw ValidationError("--logits: expected finite numbers")
    }
  }

  func run() throws {
    print("| N | logits | τ | ms | mean, bound | variance, bound | mean, difference | variance, difference |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n in experts {
      for range in logits {
        let problem = try Self.problem(experts: n, range: range)
        for temperature in tau { print(try row(problem, range: range, temperature: temperature)) }
      }
    }
  }

  private static func problem(experts n: Int, range: Double) throws -> RoutedProblem {
    var first = Philox(seed: UInt64(n), stream: 51)
    var second = Philox(seed: UInt64(n), stream: 52)
    let theta = (0..<n).map { _ in range * (2 * first.nextOpenUnit() - 1) }
    let gradients = (0..<n).map { _ in (0..<n).map { _ in 2 * second.nextOpenUnit() - 1 } }
    return try RoutedProblem(
      .categorical(
        CategoricalProblem(
          logits: theta, source: .table(values: theta.map { _ in 0 }, gradients: gradients))))
  }

  private func row(_ problem: RoutedProblem, range: Double, temperature: Double) throws -> String {
    let estimator = GumbelSoftmaxST(temperature: temperature)
    var fastest = Double.infinity
    var estimate: EstimatedMoments?
    for _ in 0..<repeats {
      let start = DispatchTime.now().uptimeNanoseconds
      estimate = try GumbelIntegral.moments(
        of: estimator, on: problem, tolerance: tolerance, covariance: covariance, threads: threads)
      fastest = min(fastest, Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-6)
    }
    guard let estimate else { preconditionFailure("no run was made") }
    let finer = try? GumbelIntegral.moments(of: estimator, on: problem, tolerance: 1e-12, threads: threads)
    func largest(_ v: [Double]) -> Double { v.reduce(0) { max($0, $1.magnitude) } }
    func relative(_ error: Double, _ v: [Double]) -> String {
      let scale = largest(v)
      return scale > 0 ? Self.scientific(error / scale) : "0"
    }
    func difference(_ part: (Moments) -> [Double]) -> String {
      guard let finer else { return "–" }
      let own = part(estimate.moments)
      return relative(largest(zip(own, part(finer.moments)).map { $0 - $1 }), own)
    }
    let cells = [
      "\(problem.experts)", "±\(range)", "\(temperature)", "\((fastest * 10).rounded() / 10)",
      relative(estimate.meanError, estimate.moments.mean),
      relative(estimate.varianceError, estimate.moments.variance), difference(\.mean), difference(\.variance),
    ]
    return "| " + cells.joined(separator: " | ") + " |"
  }

  /// Two significant digits: 1.2e-13.
  private static func scientific(_ x: Double) -> String {
    guard x > 0, x.isFinite else { return "\(x)" }
    var (mantissa, exponent) = (x, 0)
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    return "\((mantissa * 10).rounded() / 10)e\(exponent)"
  }
}
