import ArgumentParser
import RouteGrad

struct VectorsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vectors",
    abstract: "Calls with the expected answers of a router, on which every mistake shows.",
    discussion: """
      The mutation score goes to standard error. Answers to the calls are judged by 'routegrad lint --answers FILE \
      --vectors FILE', which needs neither the router nor Python; docs/router-vectors.md describes both.
      """)

  @OptionGroup var router: RouterArgument

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Another number of experts, from 2 to 1024. (default: the specification's)", valueName: "n"))
  var experts: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The seed, from 0 to 2^64 - 1.", valueName: "n"))
  var seed: UInt64 = 0

  @Flag(help: "Leave out gradients, losses and the bias's update: for kernels of the forward pass.")
  var forward = false

  @Option(help: "The format of the vectors.")
  var format: Format = .jsonl

  @Option(help: ArgumentHelp("Write to this file instead of standard output.", valueName: "file"), completion: .file())
  var output: String?

  @OptionGroup var runOptions: RunOptions

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case jsonl
    case npz
  }

  func validate() throws {
    try RouterSpecification.expertsLimit.validate("--experts", experts)
  }

  func run() throws {
    let specification = try RouterArgument.specification(router.router, experts: experts)
    let destination = try Output(path: output)
    let vectors: GoldenVectors
    do throws(InvalidInput) {
      vectors = try GoldenVectors(of: specification, seed: seed, forwardOnly: forward)
    } catch {
      throw Refusal(.wrongData, "\(specification.name): \(error)")
    }
    switch format {
    case .jsonl: try destination.finish(vectors.jsonLines)
    case .npz: try destination.finish(vectors.npz)
    }
    if !runOptions.quiet { Terminal.show(vectors.summary.map { $0 + "\n" }.joined()) }
  }
}
