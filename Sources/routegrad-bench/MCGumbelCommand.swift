import ArgumentParser
import RouteGrad

/// Mean and variance of straight-through Gumbel-softmax from samples, in Float32 up to the sample, its
/// sums in Float64.
///
/// θ = 4u(11) − 2 and t = 2u(12) − ½ `[N]`, τ = 0.7, `f(z) = Σ |z_i − t_i|³`.
struct MCGumbelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mc-gumbel", abstract: "Sampled moments of straight-through Gumbel-softmax.")

  @OptionGroup var options: BenchOptions
  @Option(name: .customLong("N"), help: "The number of experts.") var experts = 8
  @Option(name: .customLong("S"), help: "The number of samples.") var samples = 4_000_000
  @Option(help: "The seed.") var seed: UInt64 = 0

  private static let temperature = 0.7

  func validate() throws {
    try requirePositive([("--N", experts), ("--S", samples)])
  }

  private struct Parameters: Encodable {
    let experts: Int
    let samples: Int
    let temperature: Double

    enum CodingKeys: String, CodingKey {
      case experts = "N"
      case samples = "S"
      case temperature = "tau"
    }
  }

  /// Other random numbers give these within their standard errors.
  private struct Checksum: Encodable {
    let mean: [Double]
    let totalVariance: Double

    enum CodingKeys: String, CodingKey {
      case mean
      case totalVariance = "var_sum"
    }
  }

  func run() throws {
    let t = uniform(12, count: experts).map { 2 * $0 - 0.5 }
    func slope(_ distance: Double) -> Double { 3 * distance * distance.magnitude }
    let sampler = GumbelSamples(
      logits: uniform(11, count: experts).map { 4 * $0 - 2 }, temperature: Self.temperature,
      chosen: t.map { slope(1 - $0) }, others: t.map { slope(-$0) })
    try routegrad_bench.run(options) {
      var moments = Moments(mean: [], variance: [])
      let timing = Timing(options) {
        moments = sampler.moments(samples: samples, seed: seed, threads: options.threads)
      }
      return Measurement(
        workload: "mc-gumbel", variant: "philox4x32-10", threads: options.threads,
        params: Parameters(experts: experts, samples: samples, temperature: Self.temperature), units: samples,
        unit: "sample", timing: timing,
        checksum: Checksum(mean: Array(moments.mean.prefix(8)), totalVariance: moments.totalVariance))
    }
  }
}
