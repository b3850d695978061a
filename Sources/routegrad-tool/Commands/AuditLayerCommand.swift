import ArgumentParser
import RouteGrad

struct AuditLayerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit-layer",
    abstract: "Bias and variance of every estimator on a whole layer, for each group of its parameters.",
    discussion: """
      The file is a .safetensors file of the format routegrad.layer/2 (or 1): a layer's parameters, its input and its \
      loss, and what its router computes. Everything is exact; '--gradients' writes the mean gradients themselves.
      """)

  @Argument(
    help: ArgumentHelp("The layer; '-' is standard input.", valueName: "file"),
    completion: .file(extensions: ["safetensors"]))
  var file: String

  @Option(
    help: ArgumentHelp(
      "Estimators to audit; see 'routegrad estimators'. (default: every one that can be audited)",
      valueName: "a,b"), completion: .list(["all"] + Completion.estimators))
  var estimators: String?

  @OptionGroup var maskOptions: MaskOptions

  @Option(
    help: ArgumentHelp(
      "What estimators are held against. (default: expected-loss; dense-backward where the router chooses by its logits)",
      valueName: "id"))
  var target: GradientTarget?

  @Option(
    help: ArgumentHelp("Write the exact means of all gradients to this .safetensors file.", valueName: "file"),
    completion: .file())
  var gradients: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var page: PageOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try page.validate(against: output.output, "--output")
    try page.validate(against: gradients, "--gradients")
    if let gradients, gradients == output.output {
      throw ValidationError("'--gradients' and '--output' cannot name the same file")
    }
  }

  func run() throws {
    let listed: [any GradientEstimator]? =
      switch estimators {
      case nil: nil
      case "all": EstimatorRegistry.standard.filter { $0.claims.kinds.contains(.mixture) }
      case .some(let list): try EstimatorRegistry.estimators(list: list)
      }
    let name = Input.name(of: file)
    let layer = try readLayer(name)
    let options = LayerAudit.Options(
      for: layer, estimators: listed, target: target, mask: maskOptions.mask, threads: runOptions.threadCount)
    let destination = try Output(path: output.output)
    let pageFile = try page.begin()
    let means = try gradients.map { try MeanGradientFile(path: $0, layer: layer, estimators: options.estimators) }
    let progress = ProgressLine(isShown: !runOptions.quiet)
    let writer = means?.writer
    let audit = try complain(of: name) { () throws(InvalidInput) in
      defer { progress.clear() }
      return try LayerAudit(layer, options: options, onMean: writer) { done, all in
        progress.show("\(all > 0 ? 100 * done / all : 0) %")
      }
    }
    try means?.finish()
    try pageFile?.finish(audit.page(name: name).text)
    try destination.finish(audit.rendered(as: output.format, name: name, style: output.style))
  }

  /// The layer; the file's bytes are not kept beside it.
  private func readLayer(_ name: String) throws(Refusal) -> DumpedLayer {
    let bytes = try Input.layer(of: file)
    return try complain(of: name) { () throws(InvalidInput) in try DumpedLayer(bytes, threads: runOptions.threadCount) }
  }

  /// What `body` gives; what it finds wrong is said of a file.
  private func complain<Value>(
    of file: String, _ body: () throws(InvalidInput) -> Value
  ) throws(Refusal) -> Value {
    do throws(InvalidInput) {
      return try body()
    } catch {
      throw Refusal(file: file, error)
    }
  }
}
