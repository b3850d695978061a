import ArgumentParser
import Dispatch
import RouteGrad
import RouteGradTraining

/// Forward and backward pass of a Switch layer in Float32.
///
/// x = 4u(31) − 2 and target = 4u(32) − 2 `[T, d]`; router `[N, d]`, W₁ `[N, d, h]` and W₂ `[N, h, d]` of streams 21 to 23, uniform
/// on ±√(3/fan-in), biases 0; logits times U[0.9, 1.1]; loss `mean (y − target)² + 0.01 N Σ F_i P_i`. A step draws new jitter and ends
/// with the gradients of all parameters and of x; no token is dropped.
struct SwitchLayerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "switch-layer", abstract: "A Switch layer, forward and backward, in Float32.")

  @OptionGroup var options: BenchOptions
  @Option(name: .customLong("T"), help: "The number of tokens.") var tokens = 2048
  @Option(name: .customLong("d"), help: "The length of inputs and outputs.") var width = 128
  @Option(help: "The number of hidden units.") var hidden = 512
  @Option(name: .customLong("N"), help: "The number of experts.") var experts = 8
  @Option(help: "The seed of the jitter.") var seed: UInt64 = 0

  func validate() throws {
    try requirePositive([("--T", tokens), ("--d", width), ("--hidden", hidden), ("--N", experts)])
  }

  private struct Parameters: Encodable {
    let tokens: Int
    let width: Int
    let hidden: Int
    let experts: Int

    enum CodingKeys: String, CodingKey {
      case tokens = "T"
      case width = "d"
      case hidden = "h"
      case experts = "N"
    }
  }

  /// The loss of the last step, which other jitter gives within a few thousandths; and what a product of two matrices of
  /// 2048 reaches in this run.
  private struct Checksum: Encodable {
    let loss: Double
    let expertGflops: Double
    let gemmGflops: Double
    let rooflineFraction: Double
    let library: String

    enum CodingKeys: String, CodingKey {
      case loss, library
      case expertGflops = "expert_gflops"
      case gemmGflops = "gemm2048_gflops_best"
      case rooflineFraction = "roofline_fraction"
    }
  }

  func run() throws {
    let shape = LayerShape(experts: experts, inputs: width, hidden: hidden, outputs: width, routerBias: true)
    let layer = MixtureLayer<Float>(shape, router: SwitchRouter(), options: LayerOptions(loadBalance: 0.01))
    let step = Step(layer, parameters: parameters(shape), tokens: tokens, seed: seed, threads: options.threads)
    try routegrad_bench.run(options) {
      let peak = GemmPeak.gflops(threads: options.threads)
      let timing = Timing(options) { step.run() }
      let flops = 12.0 * Double(tokens * width * hidden)
      return Measurement(
        workload: "switch-layer", variant: "sorted", threads: options.threads,
        params: Parameters(tokens: tokens, width: width, hidden: hidden, experts: experts), units: tokens,
        unit: "token", timing: timing,
        checksum: Checksum(
          loss: step.loss, expertGflops: flops / timing.median * 1e-9, gemmGflops: peak,
          rooflineFraction: flops / timing.seconds[0] * 1e-9 / peak,
          library: MatrixLibrary.float))
    }
  }

  /// The peers keep W₁ as `[d, h]` and W₂ as `[h, d]`; the same numbers, transposed.
  private func parameters(_ shape: LayerShape) -> LayerParameters<Float> {
    let parameters = LayerParameters<Float>(shape)
    let (n, d, h) = (experts, width, hidden)
    func weights(_ seed: UInt64, _ count: Int, fanIn: Int) -> [Float] {
      uniform(seed, count: count).map { Float((2 * $0 - 1) * (3 / Double(fanIn)).squareRoot()) }
    }
    for (k, value) in weights(21, n * d, fanIn: d).enumerated() { parameters.router.elements[k] = value }
    let one = weights(22, n * d * h, fanIn: d)
    let two = weights(23, n * h * d, fanIn: h)
    for i in 0..<n {
      for j in 0..<d {
        for k in 0..<h {
          parameters.weights1[i * h + k, j] = one[(i * d + j) * h + k]
          parameters.weights2[i * d + j, k] = two[(i * h + k) * d + j]
        }
      }
    }
    return parameters
  }
}

/// One step after another of the layer under a squared error.
private final class Step {
  private let layer: MixtureLayer<Float>
  private let parameters: LayerParameters<Float>
  private let gradients: LayerParameters<Float>
  private let workspace: LayerWorkspace<Float>
  private let input, target, outputGradient, inputGradient: Tensor<Float>
  private let tokens: Int
  private let seed: UInt64
  private let threads: Int
  private var steps = 0
  private(set) var loss = 0.0

  init(_ layer: MixtureLayer<Float>, parameters: LayerParameters<Float>, tokens: Int, seed: UInt64, threads: Int) {
    self.layer = layer
    self.parameters = parameters
    self.tokens = tokens
    self.seed = seed
    self.threads = threads
    let d = layer.shape.inputs
    gradients = LayerParameters(zeros: layer.shape)
    workspace = LayerWorkspace(layer, maximumTokens: tokens)
    input = Tensor(rows: tokens, columns: d, uniform(31, count: tokens * d).map { Float(4 * $0 - 2) })
    target = Tensor(rows: tokens, columns: d, uniform(32, count: tokens * d).map { Float(4 * $0 - 2) })
    outputGradient = Tensor(rows: tokens, columns: d)
    inputGradient = Tensor(rows: tokens, columns: d)
  }

  func run() {
    do {
      let auxiliary = try layer.forward(
        input.elements, tokens: tokens, parameters: parameters, workspace: workspace,
        randomness: LayerRandomness(seed: seed, stream: UInt64(steps * tokens)), threads: threads)
      steps += 1
      loss = SquaredError.mean(workspace.output, target, gradient: outputGradient, threads: threads) + auxiliary.sum
      layer.backward(
        outputGradient.elements, input: input.elements, parameters: parameters, workspace: workspace,
        gradients: gradients, inputGradient: inputGradient.elements, threads: threads)
    } catch {
      preconditionFailure("a Switch layer assigns nothing jointly: \(error)")
    }
  }
}

/// The speed of the largest matrix products, by rows on as many threads.
private enum GemmPeak {
  static func gflops(threads: Int) -> Double {
    let n = 2048
    let a = Tensor<Float>(rows: n, columns: n, uniform(1, count: n * n).map { Float($0 - 0.5) })
    let b = Tensor<Float>(rows: n, columns: n, uniform(2, count: n * n).map { Float($0 - 0.5) })
    let c = Tensor<Float>(rows: n, columns: n)
    var best = Double.infinity
    for _ in 0..<8 {
      let seconds = Clock.seconds {
        DispatchQueue.concurrentPerform(iterations: threads) { k in
          let rows = k * n / threads..<(k + 1) * n / threads
          Float.multiply(
            MatrixView(a.elements + rows.lowerBound * n, stride: n), MatrixView(b.elements, stride: n),
            rows: rows.count, columns: n, depth: n, alpha: 1, beta: 0, into: c.elements + rows.lowerBound * n,
            stride: n)
        }
      }
      best = min(best, seconds)
    }
    return 2e-9 * Double(n * n * n) / best
  }
}
