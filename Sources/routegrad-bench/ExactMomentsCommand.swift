import ArgumentParser
import Dispatch
import RouteGrad

/// The exact routing and gating terms, and mean and total variance of six estimators, for a batch of mixture problems
/// under log-cosh losses, in Float64.
///
/// θ = 4u(1) − 2 `[B, N]`, f = 4u(2) − 2 `[B, N, d]`, a = ½ + u(3), t = 2u(4) − 1 `[B, d]`.
struct ExactMomentsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exact-moments", abstract: "Exact moments of six estimators on a batch of problems.")

  @OptionGroup var options: BenchOptions
  @Option(name: .customLong("B"), help: "The number of problems.") var batch = 4096
  @Option(name: .customLong("N"), help: "The number of experts.") var experts = 8
  @Option(name: .customLong("d"), help: "The width of an expert's output.") var width = 64

  func validate() throws {
    try requirePositive([("--B", batch), ("--N", experts), ("--d", width)])
  }

  private struct Batch {
    var logits: [Double]
    var outputs: [Double]
    var losses: [LogCosh]
  }

  private struct Parameters: Encodable {
    let problems: Int
    let experts: Int
    let width: Int

    enum CodingKeys: String, CodingKey {
      case problems = "B"
      case experts = "N"
      case width = "d"
    }
  }

  private struct Checksum: Encodable {
    let routingSquare: Double
    let gatingSquare: Double
    let meanSquares: [Double]
    let varianceSums: [Double]

    enum CodingKeys: String, CodingKey {
      case routingSquare = "grad_samp_sq"
      case gatingSquare = "grad_thru_sq"
      case meanSquares = "mean_sq"
      case varianceSums = "var_sum"
    }
  }

  /// The rules whose moments are wanted; the sweep adds REINFORCE for the routing term.
  private static let rules: [any RayEstimator] = [
    Conventional(), FirstOrder(), Midpoint(), SparseMixer(), SparseMixerV2(),
  ]

  func run() throws {
    let problems = try makeBatch()
    let rows = Self.rules.count + 1
    var means = [Double](repeating: 0, count: batch * rows * experts)
    var totals = [Double](repeating: 0, count: batch * rows)
    try routegrad_bench.run(options) {
      let timing = means.withUnsafeMutableBufferPointer { means in
        totals.withUnsafeMutableBufferPointer { totals in
          nonisolated(unsafe) let means = means
          nonisolated(unsafe) let totals = totals
          return Timing(options) {
            // Each thread has its own sweep and writes its own part of the results.
            DispatchQueue.concurrentPerform(iterations: options.threads) { thread in
              evaluate(
                problems, thread * batch / options.threads..<(thread + 1) * batch / options.threads, means: means,
                totals: totals)
            }
          }
        }
      }
      return Measurement(
        workload: "exact-moments", variant: "ray sweep", threads: options.threads,
        params: Parameters(problems: batch, experts: experts, width: width), units: batch, unit: "problem",
        timing: timing,
        checksum: checksum(means: means, totals: totals, rows: rows))
    }
  }

  private func evaluate(
    _ problems: Batch, _ range: Range<Int>, means: UnsafeMutableBufferPointer<Double>,
    totals: UnsafeMutableBufferPointer<Double>
  ) {
    let (experts, width, rows) = (experts, width, Self.rules.count + 1)
    let sweep = RaySweep(rules: Self.rules.map(\.rule), experts: experts)
    var variances = [Double](repeating: 0, count: rows * experts)
    for b in range {
      var meanSpan = means.extracting(b * rows * experts..<(b + 1) * rows * experts).mutableSpan
      var totalSpan = totals.extracting(b * rows..<(b + 1) * rows).mutableSpan
      var varianceSpan = variances.mutableSpan
      sweep.evaluate(
        logits: problems.logits.span.extracting(b * experts..<(b + 1) * experts),
        directions: problems.outputs.span.extracting(b * experts * width..<(b + 1) * experts * width),
        loss: problems.losses[b], means: &meanSpan, variances: &varianceSpan, totalVariances: &totalSpan)
    }
  }

  private func makeBatch() throws -> Batch {
    let a = uniform(3, count: batch * width).map { 0.5 + $0 }
    let t = uniform(4, count: batch * width).map { 2 * $0 - 1 }
    return Batch(
      logits: uniform(1, count: batch * experts).map { 4 * $0 - 2 },
      outputs: uniform(2, count: batch * experts * width).map { 4 * $0 - 2 },
      losses: try (0..<batch).map { b in
        try LogCosh(
          scales: Array(a[b * width..<(b + 1) * width]), targets: Array(t[b * width..<(b + 1) * width]))
      })
  }

  private func checksum(means: [Double], totals: [Double], rows: Int) -> Checksum {
    var squares = [Double](repeating: 0, count: rows)
    var sums = squares
    for b in 0..<batch {
      for row in 0..<rows {
        let start = (b * rows + row) * experts
        squares[row] += means[start..<start + experts].reduce(0) { $0 + $1 * $1 }
        sums[row] += totals[b * rows + row]
      }
    }
    // The mean of REINFORCE is the routing term, that of the conventional sample the gating term.
    return Checksum(
      routingSquare: squares[rows - 1], gatingSquare: squares[0], meanSquares: squares, varianceSums: sums)
  }
}
