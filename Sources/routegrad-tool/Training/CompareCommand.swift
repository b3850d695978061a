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

      Language models and translations are trained at a small size, tuned, with the controls 'none' and 'gate-one'; routers that \
      need the loss as a function of the layer's output do not work there. '--shard' divides the work among machines that share \
      a folder: run every shard until it says that all is trained.
      """)

  @OptionGroup var taskOptions: ComparedTaskOptions

  @Option(
    help: ArgumentHelp(
      "The routers, as id:key=value,...; the first is the baseline. (default: nine; of a network six, controls among them)",
      valueName: "a,b"),
    completion: .list(Completion.routers))
  var routers: String?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("The number of seeds. (default: 8; of a network 6)", valueName: "n"))
  var seeds: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The first seed.", valueName: "n"))
  var firstSeed: UInt64 = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The number of steps. (default: 800 with a shared teacher, else 600; of the made corpus 200)", valueName: "n"))
  var steps: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The steps over which the learning rate rises. (default: 20; of a network more)", valueName: "n")
  )
  var warmUp: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The steps between evaluations. (default: 25; of a network mostly 50)", valueName: "k"))
  var evaluateEvery: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("One learning rate for all. (default: tuned)", valueName: "eta"))
  var learningRate: Double?

  @Option(
    help: ArgumentHelp("Tuned learning rates; '--tune' writes them there.", valueName: "file"), completion: .file())
  var rates: String?

  @Flag(help: "Tune the learning rates first. Networks', for which none ship, are whenever none are given.")
  var tune = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The number of seeds that tuning takes. (default: 4; of a network 2)", valueName: "n"))
  var tuneSeeds: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Tune over these weights of the load-balancing loss as well.", valueName: "a,b"))
  var tuneLoadBalance: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Tune over these weights of the router z-loss as well.", valueName: "a,b"))
  var tuneZLoss: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The steps between audits of the router's gradient; 0: none. (default: 200; of a network 300)", valueName: "k"))
  var auditEvery: Int?

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

  @Option(
    help: ArgumentHelp(
      "Train the i-th of n parts of the work into the folder of '--runs', which others share.", valueName: "i/n"))
  var shard: String?

  @Option(
    help: ArgumentHelp("Train nothing; say how far what '--runs' keeps in this folder is.", valueName: "folder"),
    completion: .directory)
  var status: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var page: PageOption
  @OptionGroup var plot: PlotOption
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try page.validate(against: output.output, "--output")
    try plot.validate(against: (output.output, "--output"), (page.html, "--html"))
    try Comparison.seedsLimit.validate("--seeds", seeds)
    try Comparison.seedsLimit.validate("--tune-seeds", tuneSeeds)
    let first = TuningGrid.firstSeed
    guard firstSeed <= first, firstSeed + UInt64(seeds ?? 1) <= first else {
      throw ValidationError(
        "'--first-seed', '--seeds': expected seeds below \(first), from where on they are for tuning")
    }
    try Limit.count.validate("--audit-every", auditEvery)
    try TrainingPlan.learningRateLimit.validate("--learning-rate", learningRate)
    if from != nil, tune || runs != nil || rates != nil || learningRate != nil || shard != nil {
      throw ValidationError(
        "'--from' trains nothing: it does not go with '--tune', '--runs', '--rates', '--learning-rate' or '--shard'")
    }
    if status != nil, from != nil || tune || runs != nil || rates != nil || learningRate != nil || shard != nil {
      throw ValidationError(
        "'--status' trains and compares nothing: it does not go with '--from', '--tune', '--runs', '--rates', "
          + "'--learning-rate' or '--shard'")
    }
    if status != nil, page.html != nil || plot.plot != nil {
      throw ValidationError("'--status' has no page: it does not go with '--html' or '--plot'")
    }
    if baseline != nil, from == nil {
      throw ValidationError("'--baseline' goes with '--from'; elsewhere it is the first of '--routers'")
    }
    if learningRate != nil, tune || rates != nil {
      throw ValidationError("'--learning-rate' does not go with '--tune' or '--rates'")
    }
    if !isTuned, from == nil, tuneLoadBalance != nil || tuneZLoss != nil {
      throw ValidationError("'--tune-load-balance' and '--tune-z-loss' go with '--tune'")
    }
    _ = try Self.values("--tune-load-balance", tuneLoadBalance)
    _ = try Self.values("--tune-z-loss", tuneZLoss)
    if shard != nil, runs == nil { throw ValidationError("'--shard' goes with '--runs', the folder that all share") }
    if shard != nil, page.html != nil || plot.plot != nil || output.output != nil {
      throw ValidationError(
        "'--shard' makes no report, '--from' does: it does not go with '--output', '--html' or '--plot'")
    }
    _ = try part
  }

  /// Whether learning rates are looked for.
  private var isTuned: Bool { tune || taskOptions.task.isDeep && rates == nil && learningRate == nil }

  /// The numbers of a list.
  private static func values(_ option: String, _ list: String?) throws -> [Double]? {
    guard let list else { return nil }
    let values = list.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    var numbers: [Double] = []
    for case let value? in values where Limit.notNegative.contains(value) && !numbers.contains(value) {
      numbers.append(value)
    }
    guard numbers.count == values.count, TuningGrid.valuesLimit.contains(numbers.count) else {
      throw ValidationError("'\(option)': expected different numbers of at least 0, as '0,0.01', got '\(list)'")
    }
    return numbers
  }

  /// The part of the work to do.
  var part: Sweep.Shard {
    get throws {
      guard let shard else { return .whole }
      let numbers = shard.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
      guard numbers.count == 2, let index = numbers[0], let count = numbers[1], index >= 1, count >= index else {
        throw ValidationError("'--shard': expected i/n with i from 1 to n, as '2/8', got '\(shard)'")
      }
      return Sweep.Shard(index: index, count: count)
    }
  }

  func run() throws {
    if let status {
      let destination = try Output(path: output.output)
      return try destination.finish(SweepReport(of: status).rendered(as: output.format, style: output.style))
    }
    if let from { return try print { try ComparisonReport(of: from, baseline: baseline) } }
    let session = try ComparisonSession(self)
    if shard != nil { return try Output.standard.write(session.trainShard()) }
    try print { try session.run() }
  }

  /// Writes a report; outputs that cannot be written are refused before it is made.
  private func print(_ report: () throws -> ComparisonReport) throws {
    let destination = try Output(path: output.output)
    let (pageFile, drawing) = (try page.begin(), try plot.begin())
    let report = try report()
    try pageFile?.finish(report.page.text)
    try destination.finish(report.rendered(as: output.format, style: output.style))
    try drawing?.finish(report.page)
  }

  /// What is to be trained, as it was asked for.
  ///
  /// - Parameter given: the rates of '--rates', where these are not to be tuned.
  func sweep(_ given: TunedRates?) throws -> Sweep {
    let task = try taskOptions.compared()
    var plan = task.plan
    (plan.steps, plan.warmUp) = (steps ?? plan.steps, warmUp ?? plan.warmUp)
    plan.evaluateEvery = evaluateEvery ?? plan.evaluateEvery
    plan.auditEvery = auditEvery.map { $0 > 0 ? $0 : nil } ?? plan.auditEvery
    if plan.auditEvery == nil { plan.auditTokens = 0 }
    let routers = try TrainingRouter.routers(list: routers ?? task.routers)
    do throws(InvalidInput) {
      try plan.validate()
    } catch {
      throw Refusal(option: error)
    }
    for (k, router) in routers.enumerated() where routers[..<k].contains(where: { $0.label == router.label }) {
      throw Refusal(.wrongUsage, "'--routers': '\(router.label)' is there twice")
    }
    let seeds = firstSeed..<firstSeed + UInt64(seeds ?? task.seeds)
    var grid: TuningGrid?
    var points: [TunedPoint] = []
    var notes: [String] = []
    if isTuned {
      let first = TuningGrid.firstSeed
      grid = TuningGrid(
        seeds: first..<first + UInt64(tuneSeeds ?? task.tuningSeeds), rates: task.rates,
        loadBalances: try Self.values("--tune-load-balance", tuneLoadBalance),
        zLosses: try Self.values("--tune-z-loss", tuneZLoss))
    } else {
      let rates = given ?? task.tuned
      for router in routers {
        points.append(try point(of: router, rates, own: task.settings.auxiliary, &notes))
      }
      if let given, given.model != task.settings.id {
        notes.append("The learning rates were tuned on \(given.model), not on \(task.settings.id).")
      }
    }
    let sweep = Sweep(
      settings: task.settings, plan: plan, routers: routers, seeds: seeds, grid: grid, points: points, notes: notes,
      version: routeGradVersion, commit: TrainingSession.commit)
    do throws(InvalidInput) {
      try sweep.validate()
    } catch {
      throw Refusal(option: error.path == "router" ? InvalidInput("routers", error.expectation) : error)
    }
    return sweep
  }

  private func point(
    of router: TrainingRouter, _ rates: TunedRates?, own: AuxiliaryWeights, _ notes: inout [String]
  ) throws -> TunedPoint {
    if let learningRate { return TunedPoint(rate: learningRate, weights: own) }
    guard let (rate, weights, isOwn) = rates?.rate(of: router) else {
      throw Refusal(
        .wrongUsage,
        "'\(router.label)' has no tuned learning rate; expected '--tune', '--rates' with one, or '--learning-rate'")
    }
    if !isOwn {
      notes.append("\(router.label): trained at the learning rate of \(router.id), not at one tuned for it.")
    }
    return TunedPoint(rate: rate, weights: weights ?? own)
  }
}
