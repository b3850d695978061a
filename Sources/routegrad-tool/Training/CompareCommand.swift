import ArgumentParser
import CStandardLibrary
import RouteGrad
import RouteGradTraining
import RoutingCore

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Train the same network with every router on matched seeds, and say which trains faster and why.",
    discussion: """
      Each router trains at its tuned learning rate: the one shipped for the task, the one of '--rates', or what '--tune' finds \
      on a grid that widens while an optimum sits on its edge, on seeds of its own. Everything printed is computed from the runs' \
      folders, which '--runs' keeps (runs that are complete there are not repeated) and '--from' reads again.
      """)

  @Option(help: "What is learned.")
  var task: MixtureTask.Kind = .regression

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The share of the target's variance that a teacher of all cells has. (default: 0.75)", valueName: "s"))
  var shared: Double?

  @Option(
    help: ArgumentHelp("The routers, as id:key=value,...; the first is the baseline.", valueName: "a,b"),
    completion: .list(Completion.routers))
  var routers = TrainingRouter.standardList

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of seeds.", valueName: "n"))
  var seeds = 8

  @Option(parsing: .unconditional, help: ArgumentHelp("The first seed.", valueName: "n"))
  var firstSeed: UInt64 = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The number of steps. (default: 800 with a shared teacher, else 600)", valueName: "n"))
  var steps: Int?

  @OptionGroup var mixture: MixtureOptions

  @Option(parsing: .unconditional, help: ArgumentHelp("One learning rate for all. (default: tuned)", valueName: "eta"))
  var learningRate: Double?

  @Option(
    help: ArgumentHelp("Tuned learning rates; '--tune' writes them there.", valueName: "file"), completion: .file())
  var rates: String?

  @Flag(help: "Tune the learning rates first.")
  var tune = false

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of seeds that '--tune' takes.", valueName: "n"))
  var tuneSeeds = 4

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The steps between exact audits of the router's gradient; 0: none.", valueName: "k"))
  var auditEvery = 200

  @Option(
    help: ArgumentHelp("Keep the runs in this folder, and use those that are there.", valueName: "folder"),
    completion: .directory)
  var runs: String?

  @Option(
    help: ArgumentHelp("Train nothing; compare the runs that are below this folder.", valueName: "folder"),
    completion: .directory)
  var from: String?

  @Option(
    help: ArgumentHelp(
      "With '--from': the router that the others are held against. (default: the first of the table)",
      valueName: "router"))
  var baseline: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var page: PageOption
  @OptionGroup var plot: PlotOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try page.validate(against: output.output, "--output")
    try plot.validate(against: (output.output, "--output"), (page.html, "--html"))
    try Comparison.seedsLimit.validate("--seeds", seeds)
    try Comparison.seedsLimit.validate("--tune-seeds", tuneSeeds)
    let first = RateSearch.firstSeed
    guard firstSeed + UInt64(seeds) <= first else {
      throw ValidationError(
        "'--first-seed', '--seeds': expected seeds below \(first), from where on they are for tuning")
    }
    try Limit.count.validate("--audit-every", auditEvery)
    try TrainingPlan.learningRateLimit.validate("--learning-rate", learningRate)
    if from != nil, tune || runs != nil || rates != nil || learningRate != nil {
      throw ValidationError(
        "'--from' trains nothing: it does not go with '--tune', '--runs', '--rates' or '--learning-rate'")
    }
    if baseline != nil, from == nil {
      throw ValidationError("'--baseline' goes with '--from'; elsewhere it is the first of '--routers'")
    }
    if learningRate != nil, tune || rates != nil {
      throw ValidationError("'--learning-rate' does not go with '--tune' or '--rates'")
    }
    if shared != nil, task == .classification {
      throw ValidationError("'--shared' goes with '--task mixture-regression'")
    }
  }

  func run() throws {
    let destination: Output
    let pageFile: Output?
    let drawing: PlotOption.Drawing?
    let report: ComparisonReport
    if let from {
      destination = try Output(path: output.output)
      pageFile = try page.begin()
      drawing = try plot.begin()
      report = ComparisonReport(try Comparison(RunCollection(below: from), baseline: baseline))
    } else {
      let session = try ComparisonSession(self)
      destination = try Output(path: output.output)
      pageFile = try page.begin()
      drawing = try plot.begin()
      report = try session.run()
    }
    try pageFile?.finish(report.page.text)
    try destination.finish(report.rendered(as: output.format, style: output.style))
    try drawing?.finish(report.page)
  }

  /// The task as it was asked for.
  func settings() throws -> MixtureSettings {
    var settings = mixture.settings(task)
    settings.shared = task == .regression ? shared ?? 0.75 : 0
    do throws(InvalidInput) {
      try settings.validate()
    } catch {
      throw Refusal(option: error)
    }
    return settings
  }

  /// The plan as it was asked for, for a learning rate that is still open.
  func plan(_ settings: MixtureSettings) throws -> TrainingPlan {
    var plan = TrainingPlan(steps: steps ?? (settings.shared > 0 ? 800 : 600))
    plan.auditEvery = auditEvery > 0 ? auditEvery : nil
    do throws(InvalidInput) {
      try plan.validate()
    } catch {
      throw Refusal(option: error)
    }
    return plan
  }
}

extension MixtureTask.Kind: ExpressibleByArgument {}
