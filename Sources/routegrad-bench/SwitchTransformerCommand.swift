import ArgumentParser
import Foundation
import RouteGrad
import RouteGradTraining

/// One optimiser step of a small Switch Transformer in Float32, on the bytes floor(256 u(41; B, L + 1)).
struct SwitchTransformerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "switch-transformer-step", abstract: "An optimiser step of a Switch Transformer, in Float32.")

  /// The routers that the peers have.
  enum Router: String, ExpressibleByArgument, CaseIterable {
    case switchRouter = "switch"
    case sparsemixer

    var router: any TokenRouter {
      switch self {
      case .switchRouter: SwitchRouter()
      // Drops where (max − l)/max(|l|, max) > 0.2: the reference code's rule with threshold 0.1.
      case .sparsemixer: SparseMixerRouter(mask: .referenceCode(threshold: 0.1))
      }
    }
  }

  @OptionGroup var options: BenchOptions
  @Option(help: "The number of sequences.") var batch = 16
  @Option(name: .customLong("ctx"), help: "The length of a sequence.") var context = 128
  @Option(name: .customLong("d"), help: "The width of the residual stream.") var width = 128
  @Option(help: "The number of attention heads.") var heads = 4
  @Option(help: "The number of blocks; every second has a Switch layer.") var layers = 4
  @Option(help: "The number of hidden units.") var hidden = 512
  @Option(name: .customLong("N"), help: "The number of experts.") var experts = 8
  @Option(help: "The router.") var router = Router.switchRouter
  @Option(help: "The seed of parameters and noise.") var seed: UInt64 = 0

  private struct Parameters: Encodable {
    let batch, context, width, heads, layers, hidden, experts: Int

    enum CodingKeys: String, CodingKey {
      case heads, layers
      case batch = "B"
      case context = "L"
      case width = "d"
      case hidden = "h"
      case experts = "N"
    }
  }

  private struct Checksum: Encodable {
    let parameters, steps: Int
    let lossFirst, lossLast, peakMegabytes: Double
    let library: String

    enum CodingKeys: String, CodingKey {
      case parameters, steps, library
      case lossFirst = "loss_first"
      case lossLast = "loss_last"
      case peakMegabytes = "peak_megabytes"
    }
  }

  func run() throws {
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers) = (width, heads, layers)
    (shape.hidden, shape.experts) = (hidden, experts)
    var settings = SwitchLanguageModel.Settings()
    (settings.context, settings.batch, settings.seed, settings.heldOutPercent) = (context, batch, seed, 0)
    guard batch >= 1, context >= 1 else { throw ValidationError("--batch, --ctx: expected at least 1") }
    let data = uniform(41, count: batch * (context + 1)).map { Int32($0 * 256) }
    let model: SwitchLanguageModel
    do {
      model = try SwitchLanguageModel(shape, text: data, vocabulary: 256, router: router.router, settings: settings)
    } catch { throw ValidationError("\(error)") }
    let windows = (0..<batch).map { $0 * (context + 1) }
    let tokens = windows.flatMap { data[$0..<$0 + context] }
    let targets = windows.flatMap { data[$0 + 1..<$0 + 1 + context] }
    let adam = AdamOptimiser(model.parameters, beta2: 0.999)
    var losses: [Double] = []
    try routegrad_bench.run(options) {
      let timing = Timing(options) {
        do {
          let result = try model.step(losses.count, tokens: tokens, targets: targets, threads: options.threads)
          adam.update(rate: 1e-3, threads: options.threads)
          losses.append(result.loss + result.auxiliary)
        } catch { preconditionFailure("these routers assign nothing jointly: \(error)") }
      }
      return Measurement(
        workload: "switch-transformer-step", variant: router.rawValue, threads: options.threads,
        params: Parameters(
          batch: batch, context: context, width: width, heads: heads, layers: layers, hidden: hidden, experts: experts),
        units: batch * context, unit: "token", timing: timing,
        checksum: Checksum(
          parameters: model.parameters.reduce(0) { $0 + $1.value.count }, steps: losses.count,
          lossFirst: losses[0], lossLast: losses[losses.count - 1], peakMegabytes: Self.peakMegabytes,
          library: MatrixLibrary.float))
    }
  }

  private static var peakMegabytes: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
  }
}
